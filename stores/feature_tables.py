"""Feature tables for use outside Myna: a Parquet or npz file with one row per embedding, its clip and its labels.

The labels are those of the mel store when the table was written. The provenance states the time of that manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stores.commit import atomic_write, remove_leftovers
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.mel_store import MANIFEST

KINDS = ("parquet", "npz")


def write(path: Path, features: FeatureStore, kind: str) -> None:
    """Write `features`, whose rows have the labels of the mel store, to `path` atomically.

    A Parquet file has the columns `id`, `split`, `group`, `labels` (map), `start_seconds`, `windows`, `padded` and
    `embedding` (list of float32, of equal lengths). The provenance is JSON under `myna` in the metadata of the schema.
    An npz file has the same content as arrays, where `id` and `embedding` are called `ids` and `embeddings`, and
    `labels` and `provenance` are JSON text. It contains no pickles. The key `labels_of` of the provenance is the time
    of the manifest with the labels in UTC, such as `2026-01-31T12:00:00+00:00`.

    Raises:
        InvalidInput: `kind` is not one of `KINDS`.
    """
    if kind not in KINDS:
        raise InvalidInput(f"features cannot be written as {kind!r}; use one of {', '.join(KINDS)}")
    remove_leftovers(path)
    with atomic_write(path) as temporary:
        _WRITERS[kind](temporary, features)


def _parquet(path: Path, features: FeatureStore) -> None:
    rows, spans = features.rows, features.spans
    flat = pa.array(features.embeddings.reshape(-1))
    columns = {
        "id": pa.array([row.id for row in rows]),
        "split": pa.array([row.split for row in rows]),
        "group": pa.array([row.group for row in rows]),
        "labels": pa.array([sorted(row.labels.items()) for row in rows], pa.map_(pa.string(), pa.string())),
        "start_seconds": pa.array(spans.start_seconds),
        "windows": pa.array(spans.windows),
        "padded": pa.array(spans.padded),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, features.embeddings.shape[1]),
    }
    table = pa.table(columns).replace_schema_metadata({"myna": json.dumps(_provenance(features))})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _npz(path: Path, features: FeatureStore) -> None:
    rows, spans = features.rows, features.spans
    arrays: dict[str, Any] = {
        "ids": np.array([row.id for row in rows]),
        "split": np.array([row.split for row in rows]),
        "group": np.array([row.group for row in rows]),
        "labels": np.array([json.dumps(dict(row.labels), sort_keys=True, ensure_ascii=False) for row in rows]),
        "start_seconds": spans.start_seconds,
        "windows": spans.windows,
        "padded": spans.padded,
        "embeddings": features.embeddings,
        "provenance": np.array(json.dumps(_provenance(features))),
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _provenance(features: FeatureStore) -> dict[str, Any]:
    """Return the provenance with the time of the manifest that the labels are from, where there is one."""
    manifest = features.mel_store and features.mel_store / MANIFEST
    if not manifest or not manifest.is_file():
        return dict(features.provenance)
    time = datetime.fromtimestamp(int(manifest.stat().st_mtime), UTC)
    return {**features.provenance, "labels_of": time.isoformat()}


_WRITERS: dict[str, Callable[[Path, FeatureStore], None]] = {"parquet": _parquet, "npz": _npz}
