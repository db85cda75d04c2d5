"""The task of a worker that computes and writes one part of an extraction, and returns a count but no array."""

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
    """The settings that a worker needs, small enough to be sent with every part."""

    store: Path
    """Path of the mel store."""
    checkpoint: Path
    """Path of the encoder; exported engines are stored beside it."""
    config: ExtractionConfig
    """Settings of the extraction, with the name and the precision of the engine and never `auto`."""
    batch_windows: int
    """Number of windows of a batch."""
    provenance: Mapping[str, Any]
    """Provenance of the features; the worker's engine must be the one that it states."""
    parts: FeatureParts
    """Files that the parts are written to."""


def compute_part(arguments: tuple[ExtractionTask, int, Sequence[ClipRow]]) -> int:
    """Compute and write one part in a worker, and return its number of windows.

    A task that runs twice writes the same bytes.

    Args:
        arguments: the settings, the number of the part, and its clips.

    Raises:
        DigestMismatch: the worker's engine differs from the engine in the provenance.
    """
    task, number, rows = arguments
    store, engine = _open(task.store, task.checkpoint, task.config)
    if engine.settings.to_dict() != task.provenance["engine"]:
        raise DigestMismatch(
            f"the engine of this worker is {engine.settings.to_dict()}, but the features are computed with "
            f"{task.provenance['engine']}; all workers need the software and hardware of the process that started them"
        )
    windowing = task.config.windowing
    extraction = Extraction(engine.with_batch_for(task.batch_windows), windowing)
    task.parts.write(number, next(extraction.compute_parts(store, [rows])))
    return windowing.count_windows(row.frames for row in rows)


@lru_cache(1)
def _open(store_path: Path, checkpoint: Path, config: ExtractionConfig) -> tuple[MelStore, Engine]:
    """Return the store and the engine of a worker, which keeps them for its next parts."""
    store = MelStore.open_without_manifest(store_path)
    loaded = checkpoints.load(checkpoint, config.patches, config.input_scale)
    loaded = loaded.with_window(config.windowing.window_frames)
    return store, config.open_engine(loaded, store.quantizer)[0]
