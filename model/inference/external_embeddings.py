"""Embeddings of other models, read from `.npz`, Parquet or a feature store and matched to clips by id.

`.npz`     arrays `ids` (text) and `embeddings` (floats, [clips, width]); arrays that need a pickle are not accepted
Parquet    columns `id` (string) and `embedding` (fixed-size lists of float32), without nulls

Both can state their provenance as JSON, in an array `provenance` or in the schema's metadata under `myna`, as the
files of this project do. The content is not trusted: sizes are checked before anything is unpacked, and every
embedding must be finite.
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
"""Largest size in bytes of the unpacked content of a file."""
ID, EMBEDDING = "id", "embedding"
_DAMAGE = (
    *(pa.ArrowException, zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError, NotImplementedError),
    RecursionError,  # JSON with too many levels
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
    if (path / "clips.parquet").is_file():
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
    values = json.loads(text or b"{}")
    if not isinstance(values, dict):
        raise ValueError("its provenance is not a JSON object")
    return {key: value for key, value in values.items() if key != "digest"}


def _read_npz(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    with zipfile.ZipFile(path) as archive:
        names = Counter(archive.namelist())
        _require_size(sum(member.file_size for member in archive.infolist()))
    if names["ids.npy"] != 1 or names["embeddings.npy"] != 1:
        raise ValueError(f"it holds {sorted(names)}; it must hold `ids` and `embeddings` once each")
    with np.load(path, allow_pickle=False) as arrays:
        ids, embeddings = arrays["ids"], arrays["embeddings"]
        provenance = arrays["provenance"] if "provenance" in arrays else np.array("")
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise ValueError(f"ids must be a list of text (got {ids.dtype} {ids.shape})")
    return ids.tolist(), embeddings, str(provenance).encode()


def _read_parquet(path: Path) -> tuple[list[str], NDArray[Any], bytes]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema, groups = file.schema_arrow, file.metadata.num_row_groups
        _require_size(sum(file.metadata.row_group(group).total_byte_size for group in range(groups)))
        if {ID, EMBEDDING} - set(schema.names) or not pa.types.is_string(schema.field(ID).type):
            raise ValueError(f"its columns are {schema.names}; it must have `{ID}` (string) and `{EMBEDDING}`")
        kind = schema.field(EMBEDDING).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
            raise ValueError(f"`{EMBEDDING}` must hold fixed-size lists of float32 (got {kind})")
        _require_size(file.metadata.num_rows * max(1, kind.list_size) * 4)
        table = file.read([ID, EMBEDDING])
    column = table[EMBEDDING].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if table[ID].null_count or column.null_count or column.flatten().null_count:
        raise ValueError("some ids or embeddings are null")
    provenance = (schema.metadata or {}).get(b"myna", b"")
    return table[ID].to_pylist(), column.flatten().to_numpy().reshape(len(column), kind.list_size), provenance


def _require_size(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise ValueError(f"its unpacked size must be at most {MAX_BYTES:,} bytes (got {size_bytes:,})")


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
