"""Paths of audio on remote storage (`s3://`, `gs://`, `https://` and others), read through fsspec.

`RemotePath` has the part of the interface of `pathlib.Path` that reading audio uses, so the same code reads both kinds.
Text with `://` in it is never taken for a local path, because `pathlib` would make one slash of the two. Credentials
and endpoints come from the environment, as the command line tools of the storage read them.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit

import fsspec

from stores.errors import InvalidInput, MissingArtifact

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "'myna[remote]'"),
    **dict.fromkeys(("http", "https"), "'myna[remote]'"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    "memory": "fsspec",
}
"""Packages by protocol. Other protocols, above all those that lead to other files, are not accepted."""
BLOCK_BYTES = 4 << 20
MAX_TRIES = 4
"""Tries of a request. The pause before the next try is `PAUSE_SECONDS`, doubled each time."""
PAUSE_SECONDS = 0.5
_TIMEOUT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 20}},
    "s3a": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 20}},
}
_ENCODED = ("http://", "https://")
_DENIED_STATUS = (401, 403)
Result = TypeVar("Result")


class RemoteStatus(NamedTuple):
    """The status of a remote object, with the names that `os.stat_result` has."""

    st_mode: int
    """File type: a regular file."""
    st_size: int
    """Size in bytes, or 0 if the storage does not state it."""
    st_mtime_ns: int
    """Time of the last change in nanoseconds since 1970, or 0 if the storage does not state it."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder on remote storage."""

    url: str
    """URL without a slash at its end. In `http` and `https`, characters such as spaces are percent-encoded."""

    def __truediv__(self, name: str) -> RemotePath:
        """Return the path of `name` below this path."""
        is_encoded = self.url.startswith(_ENCODED)
        return RemotePath(f"{self.url}/{quote(name, errors='surrogateescape') if is_encoded else name}")

    def decode(self, name: str) -> str:
        """Return the name that a part of a URL of this storage stands for, the same as that of a local file.

        Bytes that are not UTF-8 become surrogates, as in names of local files.
        """
        return unquote(name, errors="surrogateescape") if self.url.startswith(_ENCODED) else name

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """Last component of the path."""
        return self.decode(self.url.rpartition("/")[2])

    @property
    def suffix(self) -> str:
        """Suffix of the name, with its dot, or empty text."""
        return PurePosixPath(self.name).suffix

    def stat(self) -> RemoteStatus:
        """Return size and time of change.

        Raises:
            FileNotFoundError: there is no such object.
            PermissionError: it may not be read.
            MissingArtifact: the storage cannot be reached.
        """
        info = self._retry(lambda files, path: files.info(path))
        kind = stat.S_IFDIR if info.get("type") == "directory" else stat.S_IFREG
        return RemoteStatus(kind, int(info.get("size") or 0), _changed_ns(info))

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        try:
            return stat.S_ISREG(self.stat().st_mode)
        except OSError:
            return False

    def is_dir(self) -> bool:
        """Return whether there is any object below this path."""
        return any(self.iterdir())

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what lies directly in this folder; nothing if there is no such folder."""
        try:
            entries = self._retry(lambda files, path: files.ls(path, detail=False))
        except OSError:
            return
        yield from (RemotePath(f"{self.url}/{str(entry).rstrip('/').rpartition('/')[2]}") for entry in entries)

    def files(self) -> dict[str, int | None]:
        """Return the sizes of all objects below this folder by their names below it, None for unknown sizes.

        Raises:
            MissingArtifact: the storage cannot be reached, or does not allow the listing.
        """
        try:
            listed, base = self._retry(lambda files, path: (files.find(path, detail=True), path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise MissingArtifact(
                f"{self.url} cannot be listed ({error}); check its address and credentials"
            ) from error
        prefix = f"{str(base).rstrip('/')}/"
        below = ((name, info) for name, info in listed.items() if name.startswith(prefix) and "?" not in name)
        return {self.decode(name[len(prefix) :]): _size(info) for name, info in below}

    def read_head(self, size: int) -> bytes:
        """Return the first `size` bytes, or fewer if the object is shorter.

        Raises:
            OSError: the object cannot be read.
        """
        return bytes(self._retry(lambda files, path: files.cat_file(path, start=0, end=size)))[:size]

    def download(self) -> Iterator[bytes]:
        """Yield the content in blocks. A read that fails is tried again from where it stopped.

        Raises:
            FileNotFoundError: there is no such object.
            PermissionError: it may not be read.
            MissingArtifact: the storage cannot be reached.
        """
        size, offset, tries = self.stat().st_size, 0, 0
        files, path = _file_system(self.url)
        while True:
            try:
                with files.open(path, "rb", block_size=BLOCK_BYTES) as content:
                    _skip(content, offset)
                    while block := content.read(BLOCK_BYTES):
                        offset, tries = offset + len(block), 0
                        yield block
                if offset >= size:
                    return
                raise OSError(f"the connection ended after {offset} of {size} bytes")
            except Exception as error:  # noqa: BLE001  the libraries of the storages have no common base class
                tries = self._pause(error, tries)

    def _retry(self, request: Callable[[Any, str], Result]) -> Result:
        files, path = _file_system(self.url)
        tries = 0
        while True:
            try:
                return request(files, path)
            except Exception as error:  # noqa: BLE001  as above
                tries = self._pause(error, tries)

    def _pause(self, error: Exception, tries: int) -> int:
        """Wait before the next try, and return the number of tries so far.

        Raises:
            OSError: trying again is of no use.
            MissingArtifact: there were enough tries.
        """
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
            raise error
        if getattr(error, "status", None) in _DENIED_STATUS:
            raise PermissionError(f"{self.url} may not be read: {error}") from error
        if tries + 1 >= MAX_TRIES:
            raise MissingArtifact(
                f"{self.url} cannot be read after {MAX_TRIES} tries ({type(error).__name__}: {error}); check the "
                f"network and the credentials, then start the same command again to continue"
            ) from error
        time.sleep(PAUSE_SECONDS * 2**tries)
        return tries + 1


AudioPath = Path | RemotePath
"""A path of audio or of a folder of audio."""


def is_url(text: str) -> bool:
    """Return whether `text` is a URL and not a local path."""
    return "://" in text


def audio_path(text: str | Path) -> AudioPath:
    """Return the path that `text` names: a `RemotePath` for a URL, and otherwise an absolute local path.

    Raises:
        InvalidInput: the protocol of the URL is not accepted, or its package is not installed.
    """
    if not is_url(str(text)):
        return Path(text).resolve()
    parts = urlsplit(str(text))
    if parts.scheme == "file":
        return Path(unquote(parts.path)).resolve()
    if parts.scheme not in PACKAGES or not (parts.netloc or parts.scheme == "memory"):
        raise InvalidInput(
            f"{text} cannot be read; use a local folder, or a URL that begins with one of "
            f"{', '.join(f'{scheme}://' for scheme in PACKAGES if scheme != 'memory')}"
        )
    path = RemotePath(str(text).rstrip("/"))
    _file_system(path.url)
    return path


def name_below(path: AudioPath, root: AudioPath) -> str:
    """Return the path of a file below a folder, with `/`.

    Raises:
        ValueError: the file is not below the folder.
    """
    text, prefix = str(path), f"{root}/"
    if text.startswith(prefix):  # the usual case, ten times as fast as `relative_to`
        name = text[len(prefix) :]
        return root.decode(name) if isinstance(root, RemotePath) else name
    if isinstance(path, RemotePath) or isinstance(root, RemotePath):
        raise ValueError(f"{path} is not below {root}")
    return path.relative_to(root).as_posix()


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it. The URL is not searched for `::`, which chains protocols."""
    scheme = url.partition("://")[0]
    try:
        files = fsspec.filesystem(scheme, use_listings_cache=False, **_TIMEOUT_OPTIONS.get(scheme, {}))
    except ImportError as error:
        raise InvalidInput(
            f"{scheme}:// needs a package that is not installed ({error}). Install it with: pip install "
            f"{PACKAGES[scheme]}"
        ) from error
    return files, str(files._strip_protocol(url))


def _skip(content: Any, offset: int) -> None:
    if not offset:
        return
    if content.seekable():
        content.seek(offset)
        return
    while offset and (block := content.read(min(BLOCK_BYTES, offset))):
        offset -= len(block)


def _size(info: Mapping[str, Any]) -> int | None:
    size = info.get("size")
    return None if size is None else int(size)


def _changed_ns(info: Mapping[str, Any]) -> int:
    for key in ("LastModified", "mtime", "updated", "last_modified", "created"):
        value = info.get(key)
        if isinstance(value, str):
            value = _parse_time(value)
        if isinstance(value, datetime):
            return int(value.timestamp()) * 1_000_000_000
        if isinstance(value, int | float):
            return int(value) * 1_000_000_000
    return 0


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
