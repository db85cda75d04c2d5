"""Reading of the headers of an untrusted tar, plain or in gzip.

Headers cannot make `tarfile` allocate more memory than headers need, and a broken header is an error. The loop of
`tarfile` itself ends at a broken header as if the tar ended there.
"""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.audio.gzip_file import GzipFile, SeekPoints

MAX_HEADER_BYTES = 1 << 20
"""Longest extended header (names and the like) that is read. A hostile header can claim gigabytes."""
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, ArithmeticError, struct.error, RecursionError)
"""Errors that `tarfile` raises for damaged headers, besides its own."""
MAX_PADDING_BYTES = 1 << 22
"""Longest stretch of zeros behind the end of a tar that is searched for another tar. Writers fill up a last record."""
_BLOCK_BYTES = 512


class _HeaderReader(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes of a header. `tarfile` seeks over the content of members and never reads it."""
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes; at most {MAX_HEADER_BYTES} are read")
        return super().read(size)


@contextlib.contextmanager
def open_tar(path: Path | str, gzip: bool = False, seek_points: SeekPoints | None = None) -> Iterator[tarfile.TarFile]:
    """Open a tar to iterate over its headers.

    Args:
        path: the tar.
        gzip: whether the tar is in a gzip file.
        seek_points: an empty object that receives the seek points of the gzip file.

    Raises:
        tarfile.TarError: the file is not a tar. It is also raised later, when a header is damaged or too long.
        OSError: from the file system, or because the gzip file is damaged.
    """
    raw = GzipFile(path, seek_points) if gzip else io.FileIO(path)
    with _HeaderReader(raw) as content, tarfile.open(fileobj=content, mode="r:") as tar:
        yield tar


def headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the headers of a tar without keeping them, and those of other tars that were joined to it.

    Raises:
        tarfile.ReadError: a header is broken. Other errors in `DAMAGE` are possible too.
    """
    end, is_first = -1, True
    while is_first or _move_to_next_tar(tar):
        is_first = False
        while member := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]
            if tar.offset <= end:
                raise tarfile.ReadError("a size is negative")  # reading on would never end
            end = tar.offset
            yield member


def _move_to_next_tar(tar: tarfile.TarFile) -> bool:
    """Move behind the zeros at the end of a tar, and return whether another tar begins there.

    Raises:
        tarfile.ReadError: there are other bytes instead of zeros, so that a header is broken.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    for position in range(tar.offset, tar.offset + MAX_PADDING_BYTES, _BLOCK_BYTES):
        block = tar.fileobj.read(_BLOCK_BYTES)
        if not block:
            return False
        if any(block):
            if position == tar.offset:
                raise tarfile.ReadError(f"no header at byte {position}")
            tar.offset = position
            return True
    return False


def is_recording(member: tarfile.TarInfo) -> bool:
    """Return whether a member is a regular file without holes, the only kind that is read."""
    return member.isreg() and not member.issparse()
