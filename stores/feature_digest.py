"""The digest of the data of a feature store, computed without a copy of them in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.manifest import ClipRow, ClipRows


def hashed(embeddings: NDArray[np.float32]) -> Any:
    """Return a BLAKE2b-128 hasher that has read the embeddings, of any shape."""
    return hashlib.blake2b(np.ascontiguousarray(embeddings, "<f4").data, digest_size=16)


def of_data(hasher: Any, clips: Sequence[ClipRow], columns: Mapping[str, NDArray[Any]], identity: Sequence[str]) -> str:
    """Return the digest of embeddings, of the identity of their clips, and of further columns.

    Args:
        hasher: hasher that has read the embeddings. It is not changed.
        clips: the clips in order.
        columns: columns with a value for each embedding, `[rows]`.
        identity: fields of the clips that belong to their identity.
    """
    whole = hasher.copy()
    for name in identity:
        whole.update(name.encode())
        for values in _batches(clips, name):
            whole.update("".join(f"\0{value}" for value in values).encode())
        whole.update(b"\0\0")
    for column in columns.values():
        whole.update(np.ascontiguousarray(column).data)
    return str(whole.hexdigest())


def _batches(clips: Sequence[ClipRow], name: str) -> Iterator[list[Any]]:
    """Yield the values of a field of all clips, in lists."""
    if isinstance(clips, ClipRows):
        yield from (table.column(name).to_pylist() for table in clips.batches([name]))
    else:
        yield [getattr(row, name) for row in clips]
