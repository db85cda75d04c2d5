"""The work of one part of an extraction, wherever it is done; returns counts, never arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from model.inference import checkpoints
from model.inference.engines.engine import Engine
from model.inference.extraction import Extraction, ExtractionConfig
from stores.errors import DigestMismatch
from stores.feature_parts import FeatureParts
from stores.manifest import ClipRow
from stores.mel_store import MelStore


@dataclass(frozen=True)
class ExtractionTask:
    """What a worker of a cluster needs to know, small enough to send with every part."""

    store: Path
    """The mel store."""
    checkpoint: Path
    """The encoder; exported engines lie beside it."""
    asked: ExtractionConfig
    """The engine by its name and precision, never auto."""
    batch_windows: int
    """Windows of a batch."""
    provenance: Mapping[str, Any]
    """Of the features; the worker's engine must be the one that stands there."""
    parts: FeatureParts
    """Where they go."""


def work(task: tuple[ExtractionTask, int, Sequence[ClipRow]]) -> int:
    """Make and write one part in a worker; the number of its windows. Twice leaves the same bytes.

    Raises:
        DigestMismatch: the worker's engine is another than the driver's.
    """
    job, number, rows = task
    store, engine = _opened(job.store, job.checkpoint, job.asked)
    if engine.facts.to_dict() != job.provenance["engine"]:
        raise DigestMismatch(
            f"this worker's engine is {engine.facts.to_dict()}, the features are made with {job.provenance['engine']}: "
            "all workers need the driver's software and hardware"
        )
    windowing = job.asked.windowing
    job.parts.write(number, next(Extraction(engine.shaped(job.batch_windows), windowing).parts(store, [rows])))
    return windowing.count(row.frames for row in rows)


@lru_cache(1)
def _opened(store_path: Path, checkpoint: Path, asked: ExtractionConfig) -> tuple[MelStore, Engine]:
    """A worker's store and its one engine, kept from part to part."""
    store = MelStore.writer(store_path)
    return store, asked.open(checkpoints.load(checkpoint, asked.patches, asked.input_scale), store.quantizer)[0]
