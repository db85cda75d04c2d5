"""Codes of long clips in a temporary file, so that memory does not grow with the length of a recording.

The file has one row for each mel bin, as the array of a store. So any slice of frames can be read, and the digest needs
one row at a time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.digest import codes_digest
from stores.quantize import Codes

MAX_MEMORY_BYTES = 1 << 24
"""Size of the codes of a clip up to which they stay in memory: 70 minutes of 8-bit codes."""
FLUSH_BYTES = 1 << 19
"""Size of the codes that are collected before they are written to the file."""
_READ_BYTES = 1 << 20


class SpooledCodes:
    """Codes `[n_mels, frames]` in a temporary file, which disappears with this object.

    Args:
        n_mels: number of mel bins.
        max_frames: number of frames for which there is space.
        dtype: NumPy name of the type.
    """

    def __init__(self, n_mels: int, max_frames: int, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._n_mels, self._max_frames, self._frames = n_mels, max_frames, 0
        self._file = tempfile.TemporaryFile(prefix="myna-", buffering=0)  # noqa: SIM115  # open as long as this object
        weakref.finalize(self, self._file.close)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of mel bins and of frames."""
        return self._n_mels, self._frames

    def append(self, codes: Codes) -> None:
        """Write the next codes `[n_mels, n]`.

        Raises:
            OSError: the disk of the temporary folder is full.
        """
        for row, values in enumerate(np.ascontiguousarray(codes, self.dtype)):
            content = values.view(np.uint8).data
            while content:
                start = self._offset(row, self._frames) + values.nbytes - len(content)
                content = content[os.pwrite(self._file.fileno(), content, start) :]
        self._frames += codes.shape[1]

    def __getitem__(self, key: tuple[slice, slice]) -> Codes:
        """Return `codes[:, start:stop]` as an array `[n_mels, stop - start]`."""
        every, frames = key
        start, stop, step = frames.indices(self._frames)
        if every != slice(None) or step != 1:
            raise IndexError(f"spooled codes are read as codes[:, start:stop] (got {key})")
        rows = [self._read(row, start, max(0, stop - start)) for row in range(self._n_mels)]
        return np.stack(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Codes:
        """Return all codes `[n_mels, frames]` in memory."""
        return self[:, :].astype(dtype or self.dtype, copy=False)

    def digest(self) -> str:
        """Return what `stores.digest.codes_digest` returns for the codes in memory."""
        digest, step = hashlib.blake2b(digest_size=16), _READ_BYTES // self.dtype.itemsize
        for row in range(self._n_mels):
            for start in range(0, self._frames, step):
                digest.update(self._read(row, start, min(step, self._frames - start)).data)
        return digest.hexdigest()

    def _read(self, row: int, start: int, count: int) -> NDArray[Any]:
        content = os.pread(self._file.fileno(), count * self.dtype.itemsize, self._offset(row, start))
        return np.frombuffer(content, self.dtype, count)

    def _offset(self, row: int, frame: int) -> int:
        return (row * self._max_frames + frame) * self.dtype.itemsize


class JoinedCodes:
    """Codes of several clips, one after another, that are read in slices of frames.

    Args:
        pieces: codes of each clip, `[n_mels, frames]` in memory or spooled.
    """

    def __init__(self, pieces: Sequence[Codes | SpooledCodes]) -> None:
        self._pieces = list(pieces)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of mel bins and of frames."""
        return self._pieces[0].shape[0], sum(piece.shape[1] for piece in self._pieces)

    def __getitem__(self, key: tuple[slice, slice]) -> Codes:
        """Return `codes[:, start:stop]` as an array `[n_mels, stop - start]`."""
        start, stop, _ = key[1].indices(self.shape[1])
        parts: list[Codes] = []
        position = 0
        for piece in self._pieces:
            first, last = max(0, start - position), min(piece.shape[1], stop - position)
            if first < last or not parts:
                parts.append(piece[:, first : max(first, last)])
            position += piece.shape[1]
        return np.concatenate(parts, axis=1)


class CodeCollector:
    """The codes of one clip, in memory if they are few and in a temporary file otherwise.

    Args:
        n_mels: number of mel bins.
        max_frames: largest number of frames.
        dtype: NumPy name of the type.
    """

    def __init__(self, n_mels: int, max_frames: int, dtype: str) -> None:
        size_bytes = n_mels * max_frames * np.dtype(dtype).itemsize
        self._spool = SpooledCodes(n_mels, max_frames, dtype) if size_bytes > MAX_MEMORY_BYTES else None
        self._pending: list[Codes] = []
        self._pending_bytes = 0

    def append(self, codes: Codes) -> None:
        """Add the next codes `[n_mels, n]`."""
        self._pending.append(codes)
        self._pending_bytes += codes.nbytes
        if self._spool is not None and self._pending_bytes >= FLUSH_BYTES:
            self._flush(self._spool)

    def take(self) -> tuple[Codes | SpooledCodes, str]:
        """Return all codes `[n_mels, frames]` and their digest."""
        if self._spool is not None:
            self._flush(self._spool)
            return self._spool, self._spool.digest()
        codes = np.concatenate(self._pending, axis=1)
        return codes, codes_digest(codes)

    def _flush(self, spool: SpooledCodes) -> None:
        if self._pending:
            spool.append(np.concatenate(self._pending, axis=1))
            self._pending, self._pending_bytes = [], 0
