"""Embeddings of other models, read from `.npz`, Parquet or a feature store and matched to clips by id.

`.npz`     arrays `ids` (text) and `embeddings` (floats, [clips, width]); arrays that need a pickle are not accepted
Parquet    columns `id` (string) and `embedding` (fixed-size lists of float32), without nulls

Both can state their provenance as JSON, in an array `provenance` or in the schema's metadata under `myna`, as the
files of this project do. The content is not trusted: sizes are checked before anything is unpacked, and every
embedding must be finite.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stores import npy
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import CLIPS, FeatureStore
from stores.json_codec import parse_json
from stores.manifest import ClipRow

MAX_BYTES = 16 << 30
"""Largest size in bytes of the unpacked content of a file."""
MAX_EXPANSION, MIN_CHECKED_BYTES = 100, 1 << 26
"""A file may be this many times as large when it is unpacked. Less than `MIN_CHECKED_BYTES` are always accepted."""
ID, EMBEDDING = "id", "embedding"
_DAMAGE = (
    *(pa.ArrowException, zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, EOFError),
    *(NotImplementedError, RuntimeError),  # an unknown or encrypted compression of a zip file
)


@dataclass(frozen=True)
class ExternalEmbeddings:
    """The content of a file of embeddings."""

    ids: tuple[str, ...]
    """Ids of the clips, each once."""
    embeddings: NDArray[np.float32]
    """Finite embeddings `[clips, width]`."""
    provenance: dict[str, Any]
    """Provenance as JSON values, where `digest` is the digest of ids and embeddings."""

    def of(self, rows: Sequence[ClipRow], path: Path) -> FeatureStore:
        """Return the embeddings of the clips in `rows`, in their order; embeddings of other clips are left out.

        Raises:
            InvalidInput: a clip has no embedding.
        """
        positions = {id_: position for position, id_ in enumerate(self.ids)}
        if missing := [row.id for row in rows if row.id not in positions]:
            raise InvalidInput(
                f"{path} has no embedding for {len(missing)} of {len(rows)} clips, e.g. {missing[0]!r}; it has "
                f"{len(self.ids)}, e.g. {self.ids[0]!r}; ids must be those of the dataset's manifest"
            )
        return FeatureStore(self.embeddings[[positions[row.id] for row in rows]], rows, self.provenance)


def read(path: Path) -> ExternalEmbeddings:
    """Read a file of embeddings or a feature store.

    Raises:
        MissingArtifact: there is nothing at `path`.
        InvalidInput: the file has another format.
        CorruptArtifact: the file is damaged, too large, or does not hold ids and embeddings.
    """
    if not path.exists():
        raise MissingArtifact(f"no embeddings at {path}; name a feature store, a .npz file or a .parquet file")
    if (path / CLIPS).is_file():
        store = FeatureStore.read(path)
        return _validate([row.id for row in store.rows], store.embeddings, path, dict(store.provenance))
    readers = {".npz": _read_npz, ".parquet": _read_parquet}
    if path.suffix not in readers or not path.is_file():
        raise InvalidInput(f"{path} must be a feature store, a .npz file or a .parquet file")
    try:
        ids, embeddings, provenance_json = readers[path.suffix](path)
        provenance = _parse_provenance(provenance_json)
    except _DAMAGE as error:
        raise CorruptArtifact(f"{path} does not hold ids and embeddings: {error}") from error
    return _validate(ids, embeddings, path, provenance)


def _parse_provenance(text: bytes) -> dict[str, Any]:
    """Return the provenance in a file without its digest, which is computed again from the content."""
    values = parse_json(text or b"{}")
    if not isinstance(values, dict):
        raise ValueError("its provenance is not a JSON object")
    return {key: value for key, value in values.items() if key != "digest"}


def _read_npz(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    with zipfile.ZipFile(path) as archive:
        names = Counter(archive.namelist())
        if names["ids.npy"] != 1 or names["embeddings.npy"] != 1:
            raise ValueError(f"it holds {sorted(names)}; it must hold `ids` and `embeddings` once each")
        members = [name for name in ("ids.npy", "embeddings.npy", "provenance.npy") if name in names]
        _require_size(sum(archive.getinfo(name).file_size for name in members), path)
        ids, embeddings, *provenance = (_read_member(archive, name) for name in members)
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise ValueError(f"ids must be a list of text (got {ids.dtype} {ids.shape})")
    return ids.tolist(), embeddings, str(provenance[0] if provenance else "").encode()


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return an array, whose header must claim as many bytes as the member has."""
    with archive.open(name) as file:
        return npy.read(cast(BinaryIO, file), archive.getinfo(name).file_size)


def _read_parquet(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    # ids are read as a dictionary, which is as large as the file says, while their texts may be a thousand times larger
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=[ID]) as file:
        schema, groups = file.schema_arrow, [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        _require_size(sum(group.total_byte_size for group in groups), path)
        if {ID, EMBEDDING} - set(schema.names) or not _holds_text(schema.field(ID).type):
            raise ValueError(f"its columns are {schema.names}; it must have `{ID}` (string) and `{EMBEDDING}`")
        kind = schema.field(EMBEDDING).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
            raise ValueError(f"`{EMBEDDING}` must hold fixed-size lists of float32 (got {kind})")
        _require_size(sum(group.num_rows for group in groups) * max(1, kind.list_size) * 4, path)
        ids = _read_ids(file, groups, path)
        column = file.read([EMBEDDING])[EMBEDDING].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if column.null_count or column.flatten().null_count:
        raise ValueError("some embeddings are null")
    provenance = (schema.metadata or {}).get(b"myna", b"")
    return ids, column.flatten().to_numpy().reshape(len(column), kind.list_size), provenance


def _holds_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind))


def _read_ids(file: pq.ParquetFile, groups: Sequence[pq.RowGroupMetaData], path: Path) -> list[str]:
    """Return the ids. Each must be in its dictionary once, so that they are not larger than their dictionaries."""
    column = file.schema.names.index(ID)
    if any("DELTA" in encoding for group in groups for encoding in group.column(column).encodings):
        raise ValueError(f"the unpacked size of `{ID}` is unknown; write it with plain or dictionary encoding")
    ids: list[str] = []
    size = 0
    for number in range(len(groups)):
        for chunk in file.read_row_group(number, [ID])[ID].chunks:
            if chunk.null_count:
                raise ValueError("some ids are null")
            size += chunk.nbytes
            _require_size(size, path)
            if len(np.unique(chunk.indices.to_numpy())) < len(chunk):
                raise ValueError(f"it has some of its {len(chunk)} ids more than once")
            ids += chunk.to_pylist()
    return ids


def _require_size(size_bytes: int, path: Path) -> None:
    """Check a size that a file claims, which for embeddings is about the size of the file."""
    if size_bytes > MAX_BYTES:
        raise ValueError(f"its unpacked size must be at most {MAX_BYTES:,} bytes (got {size_bytes:,})")
    file_bytes = path.stat().st_size
    if size_bytes > MIN_CHECKED_BYTES + MAX_EXPANSION * file_bytes:
        raise ValueError(
            f"it has {file_bytes:,} bytes, and would have {size_bytes:,} unpacked; at most {MAX_EXPANSION} times as "
            "many are accepted"
        )


def _validate(
    ids: Sequence[str], embeddings: NDArray[Any], path: Path, provenance: dict[str, Any]
) -> ExternalEmbeddings:
    if embeddings.ndim != 2 or len(embeddings) != len(ids) or not embeddings.size or embeddings.dtype.kind != "f":
        raise CorruptArtifact(
            f"{path} has {len(ids)} ids and embeddings {embeddings.dtype} {embeddings.shape}; it must have one row of "
            "floats [clips, width] for each id"
        )
    repeated = [id_ for id_, count in Counter(ids).items() if count > 1]
    if repeated:
        raise CorruptArtifact(f"{path} has {len(repeated)} ids more than once, e.g. {repeated[0]!r}")
    with np.errstate(over="ignore"):
        single = np.array(embeddings, np.float32, order="C")  # a copy, because Arrow's memory is read-only
    if not np.isfinite(single).all():
        row = int(np.flatnonzero(~np.isfinite(single).all(axis=1))[0])
        raise CorruptArtifact(f"{path}: the embedding of {ids[row]!r} is not finite in float32")
    digest = hashlib.blake2b("\0".join(ids).encode(), digest_size=8)
    digest.update(single.tobytes())
    return ExternalEmbeddings(tuple(ids), single, {"digest": digest.hexdigest(), **provenance})
