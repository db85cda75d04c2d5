"""Reading of a `.deb` file: an `ar` archive whose member `data.tar.*` holds the files of the package.

Nothing is unpacked to a path that the archive names, and sizes are checked before bytes are read.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stores.errors import CorruptArtifact

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_COMPRESSIONS = {"data.tar.xz": "xz", "data.tar.gz": "gz", "data.tar.bz2": "bz2", "data.tar": ""}
MAX_FILES = 200_000
"""Largest number of files of a package."""


@contextmanager
def open_data(path: Path) -> Iterator[tarfile.TarFile]:
    """Yield the tar of the files of a package, which is read from its start to its end.

    Raises:
        CorruptArtifact: the file is no `.deb` file, or its data are compressed by other than xz, gzip or bzip2.
    """
    try:
        with path.open("rb") as file:
            compression = _seek_data(file, path)
            with tarfile.open(fileobj=file, mode=f"r|{compression}") as data:  # type: ignore[call-overload]
                yield data
    except (tarfile.TarError, EOFError, ValueError, UnicodeDecodeError) as error:
        raise CorruptArtifact(f"{path} cannot be read as a Debian package: {error}; download it again") from error


def regular_files(data: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes], int]]:
    """Yield the path below the root, the content and the size in bytes of every regular file, in their order.

    Raises:
        CorruptArtifact: there are more than `MAX_FILES` files.
    """
    for count, member in enumerate(data):
        if count >= MAX_FILES:
            raise CorruptArtifact(f"{data.name!r} has more than {MAX_FILES} files, which no package of the table has")
        content = data.extractfile(member) if member.isreg() else None
        if content is not None:
            yield member.name.removeprefix("./"), content, member.size


def _seek_data(file: io.BufferedReader, path: Path) -> str:
    """Move to the data and return their compression."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise CorruptArtifact(f"{path} is not a Debian package; download it again")
    while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
        name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58].decode("ascii"))
        if name in _COMPRESSIONS:
            return _COMPRESSIONS[name]
        if name.startswith("data.tar"):
            raise CorruptArtifact(f"{path} holds {name}, which is not supported; use a package with data.tar.xz")
        file.seek(size + size % 2, io.SEEK_CUR)
    raise CorruptArtifact(f"{path} holds no data.tar; download it again")
