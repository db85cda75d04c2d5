"""The feature store: embeddings, whose they are, which frames they are of, and what made them.

DATASET.RUN.features.zarr/
  zarr.json            attributes "myna": format_version, encoder, engine, windows, mel store and settings by digest
  embeddings/          float32 [rows, width]; a row is a clip, or a window of a clip
  clips.parquet        one manifest row per clip
  spans.parquet        one row per embedding: its clip, its start, the windows it is the mean of, padded or not
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from stores import manifest
from stores.commit import atomic_write
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.manifest import ClipRow

FORMAT_VERSION = 2
CHUNK_ROWS = 4096
_CLIPS, _SPANS = "clips.parquet", "spans.parquet"


@dataclass(frozen=True)
class Spans:
    """What each embedding is of; arrays of one value per embedding."""

    clip: NDArray[np.int64]
    """`[rows]`, position of its clip among the clips; rows of a clip stand together, in order."""
    start_seconds: NDArray[np.float64]
    """`[rows]`, where in the clip it starts."""
    windows: NDArray[np.int64]
    """`[rows]`, windows that it is the mean of, at least 1."""
    padded: NDArray[np.bool_]
    """`[rows]`, whether the clip was shorter than a window, so that zeros followed it."""

    def __len__(self) -> int:
        return len(self.clip)

    @classmethod
    def one_per_clip(cls, clips: int) -> Spans:
        """Each clip as one span from its start."""
        ones = np.ones(clips, np.int64)
        return cls(np.arange(clips), np.zeros(clips), ones, np.zeros(clips, bool))

    @classmethod
    def of_table(cls, table: pa.Table) -> Spans:
        """Rebuild from `table`."""
        return cls(*(table[name].to_numpy() for name in ("clip", "start_seconds", "windows", "padded")))

    def table(self) -> pa.Table:
        """One row per embedding."""
        return pa.table(vars(self))


@dataclass(frozen=True)
class FeatureStore:
    """Embeddings in memory, as read from or written to disk."""

    embeddings: NDArray[np.float32]
    """`[rows, width]`, finite."""
    rows: Sequence[ClipRow]
    """The clip of each embedding; the same one several times where it has an embedding per window."""
    provenance: Mapping[str, Any]
    """Digests and settings of encoder and mel store, JSON."""
    spans: Spans = field(default_factory=lambda: Spans.one_per_clip(0))
    """What each embedding is of; a whole clip each, where none are given."""

    def __post_init__(self) -> None:
        if not self.rows:
            raise InvalidInput("features of 0 clips are of no use; ingest or label some that can be embedded")
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.rows):
            raise InvalidInput(f"{self.embeddings.shape} embeddings for {len(self.rows)} clips; one row each is needed")
        if not len(self.spans):
            object.__setattr__(self, "spans", Spans.one_per_clip(len(self.rows)))
        if len(self.spans) != len(self.rows):
            raise InvalidInput(f"{len(self.spans)} spans for {len(self.rows)} embeddings; one each is needed")
        require_finite(self.embeddings, self.rows)

    @cached_property
    def clips(self) -> list[ClipRow]:
        """Each clip once, in order."""
        first = np.flatnonzero(np.diff(self.spans.clip, prepend=-1))
        return [self.rows[int(i)] for i in first]

    def write(self, path: Path) -> None:
        """Write to `path`, replacing what is there; built beside it and renamed, so never half visible."""
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        embeddings = create(building, self.embeddings.shape, self.provenance)
        embeddings[:] = self.embeddings
        publish(building, path, self.clips, self.spans)

    @classmethod
    def read(cls, path: Path) -> FeatureStore:
        """Read a feature store.

        Raises:
            MissingArtifact: nothing there.
            CorruptArtifact: it is damaged, or not a feature store of this version.
        """
        if not (path / _CLIPS).is_file():
            raise MissingArtifact(f"no features at {path}; make them with `python -m model.extract DATASET`")
        try:
            group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
            attributes, embeddings = group.attrs.get("myna"), group.get("embeddings")
        except (TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON, but no object
            raise CorruptArtifact(f"{path} is damaged: {error}; extract again") from error
        if not isinstance(attributes, dict) or attributes.get("format_version") != FORMAT_VERSION:
            raise CorruptArtifact(f"{path} is not a feature store that this version reads; extract again")
        if not isinstance(embeddings, zarr.Array):
            raise CorruptArtifact(f"{path} has no embeddings; extract again")
        clips, spans = manifest.read(path / _CLIPS), _read_spans(path)
        if len(spans) != embeddings.shape[0] or not _in_order(spans.clip, len(clips)):
            raise CorruptArtifact(f"{path}: {_SPANS} does not fit its embeddings and clips; extract again")
        rows = [clips[i] for i in spans.clip]
        return cls(np.asarray(embeddings[:], dtype=np.float32), rows, attributes, spans)


def require_finite(embeddings: NDArray[np.float32], rows: Sequence[ClipRow]) -> None:
    """Check `[rows, width]` embeddings of these rows' clips.

    Raises:
        InvalidInput: one holds NaN or infinity; names its clip.
    """
    if not np.isfinite(embeddings).all():
        bad = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise InvalidInput(f"the embedding of clip {rows[bad].id!r} is not finite; check the checkpoint")


def create(building: Path, shape: tuple[int, ...], provenance: Mapping[str, Any]) -> zarr.Array[Any]:
    """An empty array of embeddings, `[rows, width]`, in a new folder that is not yet a feature store."""
    attributes = {**provenance, "format_version": FORMAT_VERSION}
    group = zarr.open_group(building, mode="w", zarr_format=3, attributes={"myna": attributes})
    chunks = (min(CHUNK_ROWS, shape[0]), shape[1])
    return group.create_array("embeddings", shape=shape, dtype="float32", chunks=chunks)


def publish(building: Path, path: Path, clips: Sequence[ClipRow], spans: Spans) -> None:
    """Make a folder with all its embeddings the feature store at `path`, replacing what is there."""
    manifest.write(building / _CLIPS, clips)
    with atomic_write(building / _SPANS) as temporary:
        pq.write_table(spans.table(), temporary, compression="zstd", write_page_checksum=True)
    shutil.rmtree(path, ignore_errors=True)
    building.rename(path)


def _read_spans(path: Path) -> Spans:
    try:
        return Spans.of_table(pq.read_table(manifest.in_memory(path / _SPANS)))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifact(f"{path / _SPANS} cannot be read: {error}; extract again") from error


def _in_order(clip: NDArray[np.int64], clips: int) -> bool:
    """Whether every clip has its rows, together and in order."""
    return bool(np.array_equal(clip[np.flatnonzero(np.diff(clip, prepend=-1))], np.arange(clips)))
