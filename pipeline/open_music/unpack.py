"""Fetching and unpacking of the packages: every recording becomes FOLDER/PACKAGE/NAME.

A package that is unpacked already is not read again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.audio import inspect
from pipeline.datasets.file_kinds import SUFFIXES
from pipeline.open_music import debian_file
from pipeline.open_music.package_table import Package
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

MIN_SECONDS = 20.0
"""Length below which a file is a sound effect or a jingle and not a piece of music."""
MAX_RECORDING_BYTES = 1 << 28
"""Largest recording. The largest of the table has 18 MB."""
MAX_ARCHIVE_BYTES = 8 << 30
"""Largest archive inside a package. The largest of the table has 3.3 GB."""
_ARCHIVES = (".pk3", ".zip")
_BLOCK_BYTES = 1 << 20
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def fetch(package: Package, folder: Path) -> Path:
    """Return the path of the `.deb` file of a package below `folder`, downloaded by `apt-get` if it is not there.

    Raises:
        MissingArtifact: the file is not there, and `apt-get` cannot download this version.
        CorruptArtifact: the file has another SHA-256 than the table states.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _find(package, folder)
    if path is None:
        _download(package, folder)
        path = _find(package, folder)
    if path is None:
        raise MissingArtifact(
            f"{folder} has no {package.name}_{package.version}; put the file of this version into this folder, for "
            "example from Debian's archive of snapshots"
        )
    if _sha256(path) != package.sha256:
        raise CorruptArtifact(f"{path} has another SHA-256 than {package.sha256}; remove it and download it again")
    return path


def unpack(package: Package, file: Path, folder: Path) -> int:
    """Write the recordings of a package to `folder`/PACKAGE and return their number.

    Args:
        package: row of the table.
        file: its `.deb` file.
        folder: folder that receives the folder of the package.

    Raises:
        CorruptArtifact: the package is damaged, a file is too large, or two recordings have one name.
        InvalidInput: no file is music.
    """
    target = folder / package.name
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{package.name}-") as temporary:
            complete = Path(temporary) / "recordings"
            complete.mkdir()
            _write_recordings(package, file, complete)
            complete.rename(target)
    return sum(1 for _ in target.iterdir())


def _find(package: Package, folder: Path) -> Path | None:
    # apt writes the colon of an epoch as %3a
    name = f"{package.name}_{package.version.replace(':', '%3a')}_all.deb"
    return folder / name if (folder / name).is_file() else None


def _download(package: Package, folder: Path) -> None:
    program = shutil.which("apt-get")
    if program is not None:
        command = [program, "download", f"{package.name}={package.version}"]
        subprocess.run(command, cwd=folder, capture_output=True, check=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_recordings(package: Package, file: Path, target: Path) -> None:
    with debian_file.open_data(file) as data:
        for name, content, size in _music(package, data):
            path = target / _flat_name(name, target)
            _copy(content, path, size, MAX_RECORDING_BYTES)
            if (inspect.claimed_seconds(path) or 0) < MIN_SECONDS:
                path.unlink()
    if not any(target.iterdir()):
        raise InvalidInput(f"{file} has no recording that matches {package.music!r}; correct the table of packages")


def _music(package: Package, data: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes], int]]:
    """Yield the path, the content and the size of every recording, also of those in archives."""
    is_music = re.compile(package.music).search
    for name, content, size in debian_file.regular_files(data):
        if name.endswith(_ARCHIVES):
            yield from (found for found in _members(name, content, size) if is_music(found[0]))
        elif PurePosixPath(name).suffix.lower() in SUFFIXES and is_music(name):
            yield name, content, size


def _members(name: str, content: IO[bytes], size: int) -> Iterator[tuple[str, IO[bytes], int]]:
    with tempfile.TemporaryDirectory(prefix="myna-") as folder:
        copy = Path(folder) / "archive"
        _copy(content, copy, size, MAX_ARCHIVE_BYTES)
        try:
            with zipfile.ZipFile(copy) as archive:
                for member in archive.infolist():
                    if PurePosixPath(member.filename).suffix.lower() in SUFFIXES:
                        with archive.open(member) as file:
                            yield f"{name}/{member.filename}", file, member.file_size
        except zipfile.BadZipFile as error:
            raise CorruptArtifact(f"{name} in a package is no archive: {error}; download the package again") from error


def _flat_name(name: str, target: Path) -> str:
    """Return a plain file name for a path: its last part, after its folder if that name is taken already."""
    *_, folder, last = ("", *PurePosixPath(name).parts)
    for parts in ((last,), (folder, last)):
        flat = _NOT_IN_NAMES.sub("_", "-".join(parts)).lstrip(".-")
        if flat and not (target / flat).exists():
            return flat
    raise CorruptArtifact(f"two recordings of {target.name} have the name {name!r}; correct the table of packages")


def _copy(content: IO[bytes], path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise CorruptArtifact(f"{path.name} has {size} bytes; at most {max_bytes} are read")
    left = size
    with path.open("wb") as file:
        while left > 0 and (block := content.read(min(left, _BLOCK_BYTES))):
            left -= file.write(block)
    if left:
        raise CorruptArtifact(f"{path.name} ends {left} bytes early; download the package again")
