"""Opening of an untrusted tar, such that its headers cannot make `tarfile` allocate more memory than headers need."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

MAX_HEADER_BYTES = 1 << 20
"""Longest extended header (names and the like) that is read. A hostile header can claim gigabytes."""


class _HeaderReader(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes of a header. `tarfile` seeks over the content of members and never reads it."""
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes; at most {MAX_HEADER_BYTES} are read")
        return super().read(size)


@contextlib.contextmanager
def open_tar(path: Path | str) -> Iterator[tarfile.TarFile]:
    """Open a tar to iterate over its headers.

    Raises:
        tarfile.TarError: the file is not a tar. It is also raised later, when a header is damaged or too long.
        OSError: from the file system.
    """
    with _HeaderReader(io.FileIO(path)) as content, tarfile.open(fileobj=content, mode="r:") as tar:
        yield tar
