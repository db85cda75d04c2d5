"""The feature store: the embeddings of a dataset, the clip and span of each, and the provenance.

DATASET.RUN.features.zarr/
  zarr.json            attributes "myna": format_version, encoder, engine, windows, mel store and settings by digest
  embeddings/          float32 [rows, width], one row per clip or per window of a clip
  clips.parquet        one manifest row per clip
  spans.parquet        one row per embedding: its clip, start, number of averaged windows, whether it was padded
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
from stores.arrow_columns import read_buffer
from stores.commit import atomic_write
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.manifest import ClipRow

FORMAT_VERSION = 2
CHUNK_ROWS = 4096
_CLIPS, _SPANS = "clips.parquet", "spans.parquet"


@dataclass(frozen=True)
class Spans:
    """The part of a clip that each embedding describes, as arrays of one value per embedding."""

    clip: NDArray[np.int64]
    """`[rows]`, position of the clip among all clips. The rows of a clip follow each other, in order."""
    start_seconds: NDArray[np.float64]
    """`[rows]`, start of the span in the clip, in seconds."""
    windows: NDArray[np.int64]
    """`[rows]`, number of windows that the embedding averages, at least 1."""
    padded: NDArray[np.bool_]
    """`[rows]`, whether the clip was shorter than a window and was padded with zeros."""

    def __len__(self) -> int:
        return len(self.clip)

    @classmethod
    def one_per_clip(cls, clips: int) -> Spans:
        """Return one span per clip, from the start of the clip."""
        ones = np.ones(clips, np.int64)
        return cls(np.arange(clips), np.zeros(clips), ones, np.zeros(clips, bool))

    @classmethod
    def from_table(cls, table: pa.Table) -> Spans:
        """Build the spans from the result of `to_table`."""
        return cls(*(table[name].to_numpy() for name in ("clip", "start_seconds", "windows", "padded")))

    def to_table(self) -> pa.Table:
        """Return an Arrow table with one row per embedding."""
        return pa.table(vars(self))


@dataclass(frozen=True)
class FeatureStore:
    """Embeddings in memory, as read from or written to disk."""

    embeddings: NDArray[np.float32]
    """`[rows, width]`, finite."""
    rows: Sequence[ClipRow]
    """Manifest row of the clip of each embedding. A clip with several embeddings is repeated."""
    provenance: Mapping[str, Any]
    """Digests and settings of the encoder and the mel store, as JSON values."""
    spans: Spans = field(default_factory=lambda: Spans.one_per_clip(0))
    """Span of each embedding. By default, each embedding describes a whole clip."""

    def __post_init__(self) -> None:
        if not self.rows:
            raise InvalidInput("features need at least 1 clip (got 0); ingest or label clips that can be embedded")
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.rows):
            raise InvalidInput(f"{self.embeddings.shape} embeddings for {len(self.rows)} clips; one row each is needed")
        if not len(self.spans):
            object.__setattr__(self, "spans", Spans.one_per_clip(len(self.rows)))
        if len(self.spans) != len(self.rows):
            raise InvalidInput(f"{len(self.spans)} spans for {len(self.rows)} embeddings; one each is needed")
        require_finite(self.embeddings, self.rows)

    @cached_property
    def clips(self) -> list[ClipRow]:
        """The clips in order, without repetition."""
        first = np.flatnonzero(np.diff(self.spans.clip, prepend=-1))
        return [self.rows[int(i)] for i in first]

    def write(self, path: Path) -> None:
        """Write the store to `path`, where it replaces an existing one. It is built beside `path` and then renamed."""
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        embeddings = create(building, self.embeddings.shape, self.provenance)
        embeddings[:] = self.embeddings
        publish(building, path, self.clips, self.spans)

    @classmethod
    def read(cls, path: Path) -> FeatureStore:
        """Read the feature store at `path`.

        Raises:
            MissingArtifact: there is no feature store.
            CorruptArtifact: it is damaged, or not a feature store of this version.
        """
        if not (path / _CLIPS).is_file():
            raise MissingArtifact(f"no features at {path}; make them with `python -m model.extract DATASET`")
        try:
            group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
            attributes, embeddings = group.attrs.get("myna"), group.get("embeddings")
        except (TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON that is not an object
            raise CorruptArtifact(f"{path} is damaged: {error}; extract again") from error
        if not isinstance(attributes, dict) or attributes.get("format_version") != FORMAT_VERSION:
            raise CorruptArtifact(f"{path} is not a feature store of format version {FORMAT_VERSION}; extract again")
        if not isinstance(embeddings, zarr.Array):
            raise CorruptArtifact(f"{path} has no embeddings; extract again")
        clips, spans = list(manifest.read(path / _CLIPS, manifest.SCHEMA_3)), _read_spans(path)
        if len(spans) != embeddings.shape[0] or not _in_order(spans.clip, len(clips)):
            raise CorruptArtifact(f"{path}: {_SPANS} does not match its embeddings and clips; extract again")
        rows = [clips[i] for i in spans.clip]
        return cls(np.asarray(embeddings[:], dtype=np.float32), rows, attributes, spans)


def require_finite(embeddings: NDArray[np.float32], rows: Sequence[ClipRow]) -> None:
    """Check that the embeddings `[rows, width]` of the clips `rows` are finite.

    Raises:
        InvalidInput: an embedding contains NaN or infinity. The message names its clip.
    """
    if not np.isfinite(embeddings).all():
        bad = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise InvalidInput(f"the embedding of clip {rows[bad].id!r} is not finite; check the checkpoint")


def create(building: Path, shape: tuple[int, ...], provenance: Mapping[str, Any]) -> zarr.Array[Any]:
    """Create an empty array of embeddings `[rows, width]` in the new folder `building` and return it."""
    attributes = {**provenance, "format_version": FORMAT_VERSION}
    group = zarr.open_group(building, mode="w", zarr_format=3, attributes={"myna": attributes})
    chunks = (min(CHUNK_ROWS, shape[0]), shape[1])
    return group.create_array("embeddings", shape=shape, dtype="float32", chunks=chunks)


def publish(building: Path, path: Path, clips: Sequence[ClipRow], spans: Spans) -> None:
    """Complete the folder `building` and rename it to `path`, where it replaces an existing feature store."""
    manifest.write(building / _CLIPS, clips, manifest.SCHEMA_3)
    with atomic_write(building / _SPANS) as temporary:
        pq.write_table(spans.to_table(), temporary, compression="zstd", write_page_checksum=True)
    shutil.rmtree(path, ignore_errors=True)
    building.rename(path)


def _read_spans(path: Path) -> Spans:
    try:
        return Spans.from_table(pq.read_table(read_buffer(path / _SPANS)))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifact(f"{path / _SPANS} cannot be read: {error}; extract again") from error


def _in_order(clip: NDArray[np.int64], clips: int) -> bool:
    """Return whether every clip has rows, and the rows of a clip follow each other in order."""
    return bool(np.array_equal(clip[np.flatnonzero(np.diff(clip, prepend=-1))], np.arange(clips)))
