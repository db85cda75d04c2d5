"""Feature tables for use outside Myna: a Parquet, CSV or npz file with one row per embedding, its clip and its labels.

The labels are those of the mel store when the table was written. The provenance states the time of that manifest.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stores import csv_cells, manifest
from stores.commit import atomic_write, remove_leftovers
from stores.errors import CorruptArtifact, InvalidInput
from stores.feature_axes import TOKEN_COLUMNS
from stores.features import FeatureStore
from stores.manifest import ClipRows
from stores.mel_spec import MelSpec
from stores.mel_store import MANIFEST

KINDS = ("parquet", "csv", "npz")
LABEL_PREFIX = "label:"
"""Prefix of the column of a label whose name is that of another column."""


def write(path: Path, features: FeatureStore, kind: str) -> None:
    """Write `features`, whose rows have the labels of the mel store, to `path` atomically.

    A Parquet file has the columns `id`, `split`, `group`, `labels` (map), `start_seconds`, `end_seconds` (if the
    provenance states the mel), `windows`, `padded` and `embedding` (list of float32, of equal lengths). Embeddings of
    all layers are rows of their own with the number of the block in `layer`. Embeddings of all tokens are rows of their
    own with the number of the token in `token` and the columns `TOKEN_COLUMNS`, where the times of the token replace
    those of the window. The provenance is JSON under `myna` in the metadata of the schema.

    Each label is also a column of its own, under its name or, if there is another column of this name, with the prefix
    `LABEL_PREFIX`. A CSV file has the same columns without the map, and columns `embedding_0` and so on for numbers.
    Text that a spreadsheet would run as a formula gets an apostrophe there.

    An npz file has the same content as arrays, where `id` and `embedding` are called `ids` and `embeddings`, and
    `labels` and `provenance` are JSON text. Its embeddings keep their axis of layers or tokens, whose numbers are in
    `layer`, or whose table is in arrays named after `TOKEN_COLUMNS` with the prefix `token_`. It contains no pickles.
    The key `labels_of` of the provenance is the time of the manifest with the labels in UTC, such as
    `2026-01-31T12:00:00+00:00`.

    Raises:
        InvalidInput: `kind` is not one of `KINDS`.
    """
    if kind not in KINDS:
        raise InvalidInput(f"features cannot be written as {kind!r}; use one of {', '.join(KINDS)}")
    remove_leftovers(path)
    with atomic_write(path) as temporary:
        _WRITERS[kind](temporary, features)


def _parquet(path: Path, features: FeatureStore) -> None:
    columns = _columns(features)
    table = pa.table(columns).replace_schema_metadata({"myna": json.dumps(_provenance(features))})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _columns(features: FeatureStore) -> dict[str, pa.Array]:
    """Return the columns of a Parquet file, one value per embedding, `[rows]`."""
    vectors = features.embeddings.shape[1] if features.axis else 1
    repeated = np.repeat(np.arange(len(features.rows)), vectors)
    clips = ClipRows.of(features.rows).take(repeated).table(["id", "split", "group", "labels"])
    columns = {
        **{name: column.combine_chunks() for name, column in zip(clips.column_names, clips.columns, strict=True)},
        **{name: pa.array(np.repeat(values, vectors)) for name, values in _spans(features).items()},
        **_axis_columns(features),
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(features.embeddings.reshape(-1)), features.embeddings.shape[-1]
        ),
    }
    labels = sorted({name for name, _ in manifest.distinct_labels(features.rows)})
    values = {name: pc.map_lookup(columns["labels"], name, "last") for name in labels}
    return columns | {LABEL_PREFIX + name if name in columns else name: column for name, column in values.items()}


def _csv(path: Path, features: FeatureStore) -> None:
    columns = _columns(features)
    embedding = columns.pop("embedding")
    del columns["labels"]
    numbers = [f"embedding_{i}" for i in range(features.embeddings.shape[-1])]
    vectors = embedding.flatten().to_numpy().reshape(len(embedding), -1)
    cells = [[_cell(value) for value in column.to_pylist()] for column in columns.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*map(csv_cells.escape, columns), *numbers])
        for row, vector in zip(zip(*cells, strict=True), vectors, strict=True):
            writer.writerow([*row, *map(str, vector)])


def _cell(value: object) -> str:
    return "" if value is None else csv_cells.escape(str(value))


def _npz(path: Path, features: FeatureStore) -> None:
    rows, provenance = features.rows, features.provenance
    arrays: dict[str, Any] = {
        "ids": np.array([row.id for row in rows]),
        "split": np.array([row.split for row in rows]),
        "group": np.array([row.group for row in rows]),
        "labels": np.array([json.dumps(dict(row.labels), sort_keys=True, ensure_ascii=False) for row in rows]),
        **_spans(features),
        "embeddings": features.embeddings,
        "provenance": np.array(json.dumps(_provenance(features))),
    }
    if features.axis == "layers":
        arrays["layer"] = np.array(provenance["layers"])
    if features.axis == "tokens":
        arrays |= {f"token_{name}": np.array(provenance["tokens"][name]) for name in TOKEN_COLUMNS}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _spans(features: FeatureStore) -> dict[str, NDArray[Any]]:
    """Return the columns that describe the span of each row."""
    return {**times(features), "windows": features.spans.windows, "padded": features.spans.padded}


def times(features: FeatureStore) -> dict[str, NDArray[np.float64]]:
    """Return the start and, if the provenance states the mel, the end of the span of each row, in seconds of its clip.

    Each is one per embedding, `[rows]`.
    """
    ends = _end_seconds(features)
    return {"start_seconds": features.spans.start_seconds} | ({} if ends is None else {"end_seconds": ends})


def _end_seconds(features: FeatureStore) -> NDArray[np.float64] | None:
    """Return the end of the span of each row in its clip, or None if the provenance does not state the mel."""
    mel, window = features.provenance.get("mel"), features.provenance.get("window_frames")
    if not isinstance(mel, Mapping) or not isinstance(mel.get("mel_spec"), Mapping) or not isinstance(window, int):
        return None
    try:
        frame_seconds = MelSpec.from_dict(mel["mel_spec"]).seconds_for(1)
    except CorruptArtifact:
        return None
    clip_ends = np.array(manifest.values_of(features.rows, "frames")) * frame_seconds
    if features.provenance.get("pool") == "mean":
        return clip_ends
    return np.minimum(features.spans.start_seconds + window * frame_seconds, clip_ends)


def _axis_columns(features: FeatureStore) -> dict[str, pa.Array]:
    """Return the columns that describe the layer or the token of each embedding, if there are several in a row."""
    count, provenance = len(features.rows), features.provenance
    if features.axis == "layers":
        return {"layer": pa.array(provenance["layers"] * count)}
    if features.axis is None:
        return {}
    columns = {name: np.tile(np.array(provenance["tokens"][name]), count) for name in TOKEN_COLUMNS}
    tokens = len(columns["patches"]) // count
    for name in ("start_seconds", "end_seconds"):
        columns[name] = columns[name] + np.repeat(features.spans.start_seconds, tokens)
    return {"token": pa.array(np.tile(np.arange(tokens), count))} | {name: pa.array(c) for name, c in columns.items()}


def _provenance(features: FeatureStore) -> dict[str, Any]:
    """Return the provenance with the time of the manifest that the labels are from, where there is one."""
    file = features.mel_store and features.mel_store / MANIFEST
    if not file or not file.is_file():
        return dict(features.provenance)
    time = datetime.fromtimestamp(int(file.stat().st_mtime), UTC)
    return {**features.provenance, "labels_of": time.isoformat()}


_WRITERS: dict[str, Callable[[Path, FeatureStore], None]] = {"parquet": _parquet, "csv": _csv, "npz": _npz}
