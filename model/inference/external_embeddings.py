"""Embeddings that others made: `.npz`, Parquet or one of our feature stores, matched to clips by id.

`.npz`     arrays `ids` (text) and `embeddings` (floats, [clips, width]); nothing that would need a pickle
Parquet    columns `id` (string) and `embedding` (fixed-size lists of float32), without nulls
Both may state where they come from, as ours do: JSON, in an array `provenance`, or in the metadata under `myna`.
The file is hostile until it was checked: sizes are read before contents, and every embedding must be finite.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.manifest import ClipRow

MAX_BYTES = 16 << 30
"""Of what a file holds, unpacked."""
ID, EMBEDDING = "id", "embedding"
_DAMAGE = (
    *(pa.ArrowException, zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError, NotImplementedError),
    RecursionError,  # JSON that nests without end
)


@dataclass(frozen=True)
class ExternalEmbeddings:
    """What a file holds."""

    ids: tuple[str, ...]
    """Of the clips, each once."""
    embeddings: NDArray[np.float32]
    """`[clips, width]`, finite."""
    provenance: dict[str, Any]
    """What is known of where it comes from, JSON; `digest` is of ids and embeddings."""

    def of(self, rows: Sequence[ClipRow], path: Path) -> FeatureStore:
        """The embeddings of these clips, in their order; others are left out.

        Raises:
            InvalidInput: a clip has none.
        """
        place = {id_: i for i, id_ in enumerate(self.ids)}
        if missing := [row.id for row in rows if row.id not in place]:
            raise InvalidInput(
                f"{path} has no embedding for {len(missing)} of {len(rows)} clips, e.g. {missing[0]!r}; it has "
                f"{len(self.ids)}, e.g. {self.ids[0]!r}; ids must be those of the dataset's manifest"
            )
        return FeatureStore(self.embeddings[[place[row.id] for row in rows]], rows, self.provenance)


def read(path: Path) -> ExternalEmbeddings:
    """Read a file of embeddings.

    Raises:
        MissingArtifact: nothing there.
        InvalidInput: another kind of file, or too large.
        CorruptArtifact: it does not hold what its kind should.
    """
    if not path.exists():
        raise MissingArtifact(f"no embeddings at {path}; a feature store, .npz or .parquet is needed")
    if (path / "clips.parquet").is_file():
        store = FeatureStore.read(path)
        return _checked([row.id for row in store.rows], store.embeddings, path, dict(store.provenance))
    readers = {".npz": _npz, ".parquet": _parquet}
    if path.suffix not in readers or not path.is_file():
        raise InvalidInput(f"{path} is no feature store and ends neither in .npz nor in .parquet")
    try:
        ids, embeddings, stated = readers[path.suffix](path)
        provenance = _provenance(stated)
    except _DAMAGE as error:
        raise CorruptArtifact(f"{path} does not hold ids and embeddings: {error}") from error
    return _checked(ids, embeddings, path, provenance)


def _provenance(stated: bytes) -> dict[str, Any]:
    """What a file says of itself; but for the digest, which is of what it holds now."""
    found = json.loads(stated or b"{}")
    if not isinstance(found, dict):
        raise ValueError("its provenance is no JSON object")
    return {key: value for key, value in found.items() if key != "digest"}


def _npz(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    with zipfile.ZipFile(path) as archive:
        names = Counter(archive.namelist())
        _require_size(sum(one.file_size for one in archive.infolist()))
    if names["ids.npy"] != 1 or names["embeddings.npy"] != 1:
        raise ValueError(f"it holds {sorted(names)}; `ids` and `embeddings` are needed, once each")
    with np.load(path, allow_pickle=False) as arrays:
        ids, embeddings = arrays["ids"], arrays["embeddings"]
        stated = arrays["provenance"] if "provenance" in arrays else np.array("")
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise ValueError(f"ids are {ids.dtype} {ids.shape}; a list of text is needed")
    return ids.tolist(), embeddings, str(stated).encode()


def _parquet(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema, groups = file.schema_arrow, file.metadata.num_row_groups
        _require_size(sum(file.metadata.row_group(group).total_byte_size for group in range(groups)))
        if {ID, EMBEDDING} - set(schema.names) or not pa.types.is_string(schema.field(ID).type):
            raise ValueError(f"its columns are {schema.names}; `{ID}` (string) and `{EMBEDDING}` are needed")
        kind = schema.field(EMBEDDING).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
            raise ValueError(f"`{EMBEDDING}` holds {kind}; fixed-size lists of float32 are needed")
        _require_size(file.metadata.num_rows * max(1, kind.list_size) * 4)
        table = file.read([ID, EMBEDDING])
    column = table[EMBEDDING].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if table[ID].null_count or column.null_count or column.flatten().null_count:
        raise ValueError("some ids or embeddings are null")
    stated = (schema.metadata or {}).get(b"myna", b"")
    return table[ID].to_pylist(), column.flatten().to_numpy().reshape(len(column), kind.list_size), stated


def _require_size(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise ValueError(f"it unpacks to {size_bytes:,} bytes; at most {MAX_BYTES:,} are read")


def _checked(
    ids: Sequence[str], embeddings: NDArray[Any], path: Path, provenance: dict[str, Any]
) -> ExternalEmbeddings:
    if embeddings.ndim != 2 or len(embeddings) != len(ids) or not embeddings.size or embeddings.dtype.kind != "f":
        raise CorruptArtifact(
            f"{path} has {len(ids)} ids and embeddings {embeddings.dtype} {embeddings.shape}; floats [clips, width] "
            "are needed, a row for each id"
        )
    twice = [id_ for id_, count in Counter(ids).items() if count > 1]
    if twice:
        raise CorruptArtifact(f"{path} has {len(twice)} ids more than once, e.g. {twice[0]!r}")
    with np.errstate(over="ignore"):
        single = np.array(embeddings, np.float32, order="C")  # a copy, for Arrow's memory is read-only
    if not np.isfinite(single).all():
        bad = int(np.flatnonzero(~np.isfinite(single).all(axis=1))[0])
        raise CorruptArtifact(f"{path}: the embedding of {ids[bad]!r} is not finite in float32")
    digest = hashlib.blake2b("\0".join(ids).encode(), digest_size=8)
    digest.update(single.tobytes())
    return ExternalEmbeddings(tuple(ids), single, {"digest": digest.hexdigest(), **provenance})
