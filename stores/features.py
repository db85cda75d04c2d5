"""The feature store: the embeddings of a dataset, the clip and span of each, and the provenance.

DATASET.RUN.features.zarr/
  zarr.json            attributes "myna": format_version, encoder, engine, windows, mel store and settings by digest,
                       the path of the mel store, and the digest of the data
  embeddings/          float32 [rows, width], one row per clip or per window of a clip, a CRC-32C after every chunk;
                       in format version 4 [rows, layers, width] or [rows, tokens, width], see `stores.feature_axes`
  clips.parquet        one row per clip: its id, its recording, and the digests of both
  spans.parquet        one row per embedding: its clip, start, number of averaged windows, whether it was padded

Labels, splits and groups are not stored here. They are those of the mel store's manifest when they are used
(`stores.feature_labels`). Feature stores of format version 2 had a copy of the manifest and no checksums. They are
still read, with a note.
"""

from __future__ import annotations

import os
import shutil
import sys
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

from stores import feature_digest, manifest, mapped_array
from stores.arrow_columns import ParquetColumns
from stores.commit import atomic_write, write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.feature_array import (
    MAX_METADATA_BYTES,
    METADATA,
    EmbeddingsWriter,
    read_attributes,
    read_embeddings,
    require_array,
)
from stores.feature_axes import Axis, axis_of, reject_axis
from stores.json_codec import read_json
from stores.manifest import ClipRow, ClipRows

FORMAT_VERSION = 3
AXIS_VERSION = 4
"""Version of stores with layers or tokens. Versions of Myna that cannot read them say that the version is unknown."""
UNCHECKED_VERSION = 2
"""Version without checksums and with a copy of the manifest, which is still read."""
CLIPS = "clips.parquet"
"""File with the clips, which only a feature store has."""
_SPANS = "spans.parquet"
_IDENTITY = ("index", "id", "source", "member", "source_digest", "codes_digest", "frames", "semitones")
_EARLIER_IDENTITY = _IDENTITY[:-1]  # before clips could be transposed
_CLIP_SCHEMA, _EARLIER_CLIP_SCHEMA = (
    pa.schema([manifest.SCHEMA.field(name) for name in names]) for names in (_IDENTITY, _EARLIER_IDENTITY)
)
_SPAN_SCHEMA = pa.schema(
    [("clip", pa.int64()), ("start_seconds", pa.float64()), ("windows", pa.int64()), ("padded", pa.bool_())]
)
_OWN_ATTRIBUTES = ("format_version", "mel_store", "data_digest")


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
        return cls(*(table[name].to_numpy() for name in _SPAN_SCHEMA.names))

    def to_table(self) -> pa.Table:
        """Return an Arrow table with one row per embedding."""
        return pa.table(vars(self), schema=_SPAN_SCHEMA)


@dataclass(frozen=True)
class FeatureStore:
    """Embeddings in memory, as read from or written to disk."""

    embeddings: NDArray[np.float32]
    """`[rows, width]`, finite; `[rows, layers, width]` or `[rows, tokens, width]` if the provenance describes them."""
    rows: Sequence[ClipRow]
    """Manifest row of the clip of each embedding. A clip with several embeddings is repeated. As read from disk, it has
    neither labels nor split nor group, which `stores.feature_labels.join` adds."""
    provenance: Mapping[str, Any]
    """Digests and settings of the encoder and the mel store, as JSON values."""
    spans: Spans = field(default_factory=lambda: Spans.one_per_clip(0))
    """Span of each embedding. By default, each embedding describes a whole clip."""
    mel_store: Path | None = None
    """Path of the mel store that the embeddings were computed from. None if it was not recorded."""

    def __post_init__(self) -> None:
        if not self.rows:
            raise InvalidInput("features need at least 1 clip (got 0); ingest or label clips that can be embedded")
        if self.embeddings.ndim not in (2, 3) or len(self.embeddings) != len(self.rows):
            raise InvalidInput(f"{self.embeddings.shape} embeddings for {len(self.rows)} clips; one row each is needed")
        axis_of(self.provenance, self.embeddings.shape)
        if not len(self.spans):
            object.__setattr__(self, "spans", Spans.one_per_clip(len(self.rows)))
        if len(self.spans) != len(self.rows):
            raise InvalidInput(f"{len(self.spans)} spans for {len(self.rows)} embeddings; one each is needed")
        require_finite(self.embeddings, self.rows)

    @property
    def axis(self) -> Axis | None:
        """Meaning of the middle axis of the embeddings: layers or tokens; None if there is none."""
        return axis_of(self.provenance, self.embeddings.shape)

    @cached_property
    def clips(self) -> Sequence[ClipRow]:
        """The clips in order, without repetition."""
        first = np.flatnonzero(np.diff(self.spans.clip, prepend=-1))
        return self.rows.take(first) if isinstance(self.rows, ClipRows) else [self.rows[int(i)] for i in first]

    def write(self, path: Path) -> None:
        """Write the store to `path`, where it replaces an existing one. It is built beside `path` and then renamed."""
        writer = FeatureWriter(path, self.embeddings.shape)
        writer.append(self.embeddings)
        writer.publish(self.clips, self.spans, self.provenance, self.mel_store)

    @classmethod
    def read(cls, path: Path | str, *, any_axis: bool = False) -> FeatureStore:
        """Read the feature store at `path`, and compare it with its digest.

        Args:
            path: folder of the feature store.
            any_axis: accept layers and tokens.

        Raises:
            MissingArtifact: there is no feature store.
            CorruptArtifact: it is damaged, something of it is lost, or it is not a feature store of this version.
            InvalidInput: it has layers or tokens, and `any_axis` is false.
        """
        path = Path(path)
        attributes = _attributes(path)
        if attributes["format_version"] == AXIS_VERSION and not any_axis:
            reject_axis(path, attributes)
        is_checked = attributes["format_version"] != UNCHECKED_VERSION
        axes = 3 if attributes["format_version"] == AXIS_VERSION else 2
        if not is_checked:
            print(
                f"note: {path} was made by an earlier version of Myna and has no checksums; remove it and extract "
                "again to get them",
                file=sys.stderr,
            )
        span_columns = _open_spans(path)
        rows_count = int(span_columns.starts[-1])
        require_array(path, rows_count, has_checksums=is_checked, axes=axes)  # before anything is allocated
        spans = Spans.from_table(span_columns.read())
        clips, columns = _read_clips(path, is_checked, len(spans))
        if not _in_order(spans.clip, len(clips)):
            raise CorruptArtifact(f"{path}: {_SPANS} does not match its clips; extract again")
        embeddings = read_embeddings(path)
        names = _IDENTITY if "semitones" in columns else _EARLIER_IDENTITY
        digest = _data_digest(feature_digest.hashed(embeddings), clips, spans, names)
        if is_checked and digest != attributes.get("data_digest"):
            raise CorruptArtifact(f"{path} does not hold the data that were written; extract again")
        rows = repeat_clips(clips, spans)
        try:
            return cls(embeddings, rows, _provenance(attributes), spans, _mel_store(path, attributes))
        except InvalidInput as error:
            raise CorruptArtifact(f"{path}: {error}; extract again") from error


class FeatureWriter:
    """A feature store that is built beside its path, and then renamed."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """Start a store at `path` with embeddings of `shape` `[rows, width]`, or with layers or tokens between."""
        self._path, self._building = path, path.with_name(f".{path.name}.building")
        shutil.rmtree(self._building, ignore_errors=True)
        self._version = FORMAT_VERSION if len(shape) == 2 else AXIS_VERSION
        self._array = EmbeddingsWriter(self._building, shape)

    def append(self, embeddings: NDArray[np.float32]) -> None:
        """Write further rows `[n, width]`."""
        self._array.append(embeddings)

    def publish(
        self, clips: Sequence[ClipRow], spans: Spans, provenance: Mapping[str, Any], mel_store: Path | None = None
    ) -> None:
        """Complete the store and rename it to its path, where it replaces an existing feature store.

        Args:
            clips: the clips in order, of which the identity is stored.
            spans: span of each embedding.
            provenance: digests and settings as JSON values.
            mel_store: path of the mel store, which is recorded relative to the folder of the feature store.
        """
        manifest.write(self._building / CLIPS, clips, _CLIP_SCHEMA)
        with atomic_write(self._building / _SPANS) as temporary:
            pq.write_table(spans.to_table(), temporary, compression="zstd", write_page_checksum=True)
        attributes = {**provenance, "format_version": self._version}
        if mel_store is not None:
            attributes["mel_store"] = _relative(mel_store, self._path)
        attributes["data_digest"] = _data_digest(self._array.hasher, clips, spans)
        zarr.open_group(self._building, mode="r+", zarr_format=3, use_consolidated=False).attrs["myna"] = attributes
        shutil.rmtree(self._path, ignore_errors=True)
        self._building.rename(self._path)


def repeat_clips(clips: ClipRows, spans: Spans) -> Sequence[ClipRow]:
    """Return the clip of each span, as objects if the clips are few."""
    rows = clips.unpacked()
    return clips.take(spans.clip) if isinstance(rows, ClipRows) else [rows[i] for i in spans.clip]


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance of the feature store at `path` without reading its data.

    Raises:
        MissingArtifact: there is no feature store.
        CorruptArtifact: it is not a feature store of this version.
    """
    return _provenance(_attributes(path))


def read_mel_store(path: Path) -> Path | None:
    """Return the path of the mel store that the feature store at `path` records, without reading its data.

    Raises:
        MissingArtifact, CorruptArtifact: see `read_provenance`.
    """
    return _mel_store(path, _attributes(path))


def record_mel_store(path: Path, mel_store: Path) -> None:
    """Record another path of the mel store in the feature store at `path`, for example after it was moved."""
    content = read_json(path / METADATA, MAX_METADATA_BYTES)
    content["attributes"]["myna"]["mel_store"] = _relative(mel_store, path)
    write_json(path / METADATA, content)


def require_finite(embeddings: NDArray[np.float32], rows: Sequence[ClipRow]) -> None:
    """Check that the embeddings `[rows, width]`, or with an axis more, of the clips `rows` are finite.

    Raises:
        InvalidInput: an embedding contains NaN or infinity. The message names its clip.
    """
    for block in mapped_array.blocks(embeddings):
        is_finite = np.isfinite(embeddings[block])
        if is_finite.all():
            continue
        bad = block.start + int(np.flatnonzero(~is_finite.reshape(len(is_finite), -1).all(axis=1))[0])
        raise InvalidInput(f"the embedding of clip {rows[bad].id!r} is not finite; check the checkpoint")


def _attributes(path: Path) -> dict[str, Any]:
    if not (path / CLIPS).is_file():
        raise MissingArtifact(f"no features at {path}; make them with `python -m model.extract DATASET`")
    attributes = read_attributes(path)
    if attributes.get("format_version") not in (FORMAT_VERSION, UNCHECKED_VERSION, AXIS_VERSION):
        raise CorruptArtifact(f"{path} is not a feature store of format version {FORMAT_VERSION}; extract again")
    return attributes


def _provenance(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key not in _OWN_ATTRIBUTES}


def _data_digest(hasher: Any, clips: Sequence[ClipRow], spans: Spans, names: Sequence[str] = _IDENTITY) -> str:
    return feature_digest.of_data(hasher, clips, vars(spans), names)


def _read_clips(path: Path, is_checked: bool, max_clips: int) -> tuple[ClipRows, list[str]]:
    """Return the clips and the stored columns.

    The clips have no labels, splits and groups unless the store is of the version that has a copy.
    """
    columns = _open_clips(path / CLIPS) if is_checked else ParquetColumns(path / CLIPS, manifest.SCHEMA_3)
    if columns.starts[-1] > max_clips:
        raise CorruptArtifact(f"{path / CLIPS} has {columns.starts[-1]} clips for {max_clips} rows; extract again")
    table = columns.read()
    names = table.column_names
    for name in ("group", "split") if is_checked else ():
        table = table.append_column(name, pa.repeat("", len(table)))
    if is_checked:
        no_labels = pa.array([[]], manifest.SCHEMA.field("labels").type)
        table = table.append_column("labels", no_labels.take(pa.repeat(0, len(table))))
    return ClipRows.from_table(manifest.add_missing_columns(table)), names


def _open_clips(path: Path) -> ParquetColumns:
    try:
        return ParquetColumns(path, _EARLIER_CLIP_SCHEMA)
    except CorruptArtifact:
        return ParquetColumns(path, _CLIP_SCHEMA)  # its error names the columns of this version


def _open_spans(path: Path) -> ParquetColumns:
    try:
        return ParquetColumns(path / _SPANS, _SPAN_SCHEMA)
    except OSError as error:
        raise CorruptArtifact(f"{path / _SPANS} cannot be read: {error}; extract again") from error


def _relative(mel_store: Path, path: Path) -> str:
    return os.path.relpath(mel_store.absolute(), path.parent.absolute())


def _mel_store(path: Path, attributes: Mapping[str, Any]) -> Path | None:
    """Return the recorded path of the mel store, or the store of the recorded name beside the features."""
    recorded, name = attributes.get("mel_store"), attributes.get("store")
    if isinstance(recorded, str) and "\0" not in recorded:
        return Path(os.path.normpath(path.parent / recorded))
    if isinstance(name, str) and name == Path(name).name and "\0" not in name:
        return path.with_name(f"{name}.zarr")
    return None


def _in_order(clip: NDArray[np.int64], clips: int) -> bool:
    """Return whether every clip has rows, and the rows of a clip follow each other in order."""
    return bool(np.array_equal(clip[np.flatnonzero(np.diff(clip, prepend=-1))], np.arange(clips)))
