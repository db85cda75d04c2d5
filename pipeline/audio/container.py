"""Containers of audio: their kinds, and the names in an archive. No member is ever unpacked to a path that it names."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pipeline.audio import signature, tar

Kind = Literal["", "tar", "tar.gz", "zip", "parquet"]
_KIND_BY_SUFFIX: dict[str, Kind] = {
    ".tar": "tar",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".zip": "zip",
    ".parquet": "parquet",
}
ZIP_DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, ValueError, ArithmeticError),
    *(struct.error, NotImplementedError, RuntimeError),
)
"""Errors that `zipfile` raises for damaged, encrypted or unknown content."""


class DamagedContainer(Exception):
    """An archive cannot be read to its end. The message says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive."""

    name: str
    """Name as the archive states it. It may contain `..` and is never used as a path."""
    size_bytes: int
    """Size that the archive states."""
    head: bytes = b""
    """First bytes, if they were asked for."""


def kind(name: str) -> Kind:
    """Return the kind of container that a file of this name is, or empty text for any other file."""
    lower = name.lower()
    return next((kind for suffix, kind in _KIND_BY_SUFFIX.items() if lower.endswith(suffix)), "")


def suffixes(kind: Kind) -> tuple[str, ...]:
    """Return the suffixes of the names of a kind of container, in lower case."""
    return tuple(suffix for suffix, known in _KIND_BY_SUFFIX.items() if known == kind)


def members(
    path: Path | str,
    wants_head: Callable[[str], bool] = lambda _: False,
    skip: Callable[[str], None] = lambda _: None,
) -> Iterator[Member]:
    """Yield the regular files of a tar, a tar in gzip or a zip, in their order. Incomplete ones of a tar are left out.

    Of several files of one name, the last one is read.

    Args:
        path: the archive.
        wants_head: returns whether the `head` of the file of this name is read. In gzip, no head is read.
        skip: gets the name of each link, device and sparse file, which are not read.

    Raises:
        DamagedContainer: after the intact members, if the archive is damaged after them.
    """
    if kind(str(path)) == "zip":
        yield from _zip_members(path, wants_head, skip)
    else:
        yield from _tar_members(path, kind(str(path)) == "tar.gz", wants_head, skip)


def zip_files(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the regular files of a zip by name. Of several files of one name, the last one is returned."""
    return {item.filename: item for item in _zip_items(archive)}


def _zip_items(archive: zipfile.ZipFile, skip: Callable[[str], None] = lambda _: None) -> Iterator[zipfile.ZipInfo]:
    for item in archive.infolist():
        if _is_special(item):
            skip(item.filename)
        elif not item.is_dir():
            yield item


def _is_special(item: zipfile.ZipInfo) -> bool:
    mode = item.external_attr >> 16  # the mode of Unix, or 0
    return bool(stat.S_IFMT(mode)) and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _zip_members(path: Path | str, wants_head: Callable[[str], bool], skip: Callable[[str], None]) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            for item in _zip_items(archive, skip):
                head = _zip_head(archive, item) if wants_head(item.filename) else b""
                yield Member(item.filename, item.file_size, head)
    except ZIP_DAMAGE as error:
        raise DamagedContainer(first_line(error)) from error


def _zip_head(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(item) as content:
            return content.read(signature.HEAD_BYTES)
    except ZIP_DAMAGE:  # this member only, for example because it is encrypted
        return b""


def _tar_members(
    path: Path | str, gzip: bool, wants_head: Callable[[str], bool], skip: Callable[[str], None]
) -> Iterator[Member]:
    try:
        size_bytes = None if gzip else Path(path).stat().st_size
        with tar.open_tar(path, gzip) as archive:
            for item in tar.headers(archive):
                is_whole = size_bytes is None or item.offset_data + item.size <= size_bytes
                if is_whole and tar.is_recording(item):
                    # In gzip, the heads would need a second pass, which takes as long as the first.
                    head = _tar_head(path, item) if not gzip and wants_head(item.name) else b""
                    yield Member(item.name, item.size, head)
                elif is_whole and not item.isdir():
                    skip(item.name)
    except tar.DAMAGE as error:
        raise DamagedContainer(first_line(error)) from error


def _tar_head(path: Path | str, item: tarfile.TarInfo) -> bytes:
    with Path(path).open("rb") as content:
        content.seek(item.offset_data)
        return content.read(min(item.size, signature.HEAD_BYTES))


def first_line(error: BaseException) -> str:
    """Return the first line of a message, or the name of the error if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def audio_column(schema: pa.Schema) -> str:
    """Return the name of the column of audio in a Parquet file: a struct with a field `bytes` of binary type.

    It is the column `audio` if there is one, and otherwise the first such column.

    Raises:
        pyarrow.ArrowInvalid: there is no such column.
    """
    names = [name for name, kind in zip(schema.names, schema.types, strict=True) if _holds_bytes(kind)]
    if not names:
        raise pa.ArrowInvalid("no column holds audio: a struct with a field `bytes`")
    return "audio" if "audio" in names else str(names[0])


def _holds_bytes(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or (index := kind.get_field_index("bytes")) < 0:
        return False
    content = kind.field(index).type
    return bool(pa.types.is_binary(content) or pa.types.is_large_binary(content))
