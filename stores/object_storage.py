"""Objects in a folder at a URL, which obstore lists, reads and writes.

An object appears whole or not at all. Credentials and endpoints come from the environment, or for S3 from the files and
roles that boto3 knows, if it is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from stores import extras
from stores.errors import InvalidInput, MissingArtifact

SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_USUAL_SCHEMES = {"s3a": "s3", "abfss": "abfs"}
READ_BYTES = 8 << 20
"""Bytes of a request. Each request has a time limit and retries of its own."""
TIMEOUT_SECONDS, MIN_BYTES_PER_SECOND = 60.0, 250_000.0
"""Limit of a request, and the rate by which it grows with an object that is written by a single request."""
_RETRIES: dict[str, Any] = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class StoredObject:
    """The size of an object, and the tag that the storage gives to its present content."""

    size_bytes: int
    """Size in bytes."""
    e_tag: str
    """Tag of the content, as this request states it."""
    version: str | None = None
    """Version, where the storage counts versions."""

    @property
    def tag(self) -> str:
        """Tag of the content for comparisons. Some storages put it into quotes, but not in each answer."""
        return self.e_tag.strip('"')


def usual_scheme(url: str) -> str:
    """Return a URL with the usual one of several schemes for the same storage."""
    scheme, _, rest = url.partition("://")
    return f"{_USUAL_SCHEMES.get(scheme, scheme)}://{rest}"


def storage(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """Return the folder at a URL as an object store of obstore, whose paths are relative to the folder.

    Args:
        url: URL of the folder.
        timeout_seconds: limit of one request, with its content.

    Raises:
        MissingArtifact: obstore is not installed.
    """
    extras.require("remote", f"{url.partition('://')[0]}://")
    client = {"allow_http": True, "connect_timeout": "10s", "timeout": f"{timeout_seconds:.0f}s"}
    return _obstore().store.from_url(url, client_options=client, retry_config=_RETRIES, **_credentials(url))


def list_objects(url: str) -> dict[str, StoredObject]:
    """Return all objects below a URL, by their paths relative to it.

    Raises:
        MissingArtifact: the storage cannot be reached, or has no such bucket.
    """
    listed = _reach(url, lambda: [item for part in _obstore().list(storage(url)) for item in part])
    return {item["path"]: _stored(item) for item in listed}


def describe(url: str, name: str) -> StoredObject | None:
    """Return the size and the tag of an object, or None if there is none.

    Raises:
        MissingArtifact: the storage cannot be reached.
    """
    try:
        return _stored(_reach(url, lambda: _obstore().head(storage(url), name)))
    except FileNotFoundError:
        return None


def open_object(url: str, name: str) -> io.BufferedReader:
    """Open an object for reading, from its start on.

    Raises:
        FileNotFoundError: there is no such object.
        MissingArtifact: the storage cannot be reached.
    """
    reader = _reach(url, lambda: _obstore().open_reader(storage(url), name, buffer_size=READ_BYTES))
    return io.BufferedReader(_ObjectStream(url, reader), READ_BYTES)


def write(url: str, name: str, file: Path) -> str:
    """Write a file to an object, which is created or replaced, and return its tag.

    Raises:
        MissingArtifact: the storage cannot be reached, or has no such bucket.
    """
    return _tag(url, lambda: _obstore().put(storage(url), name, file))


def replace(url: str, name: str, file: Path, expected: StoredObject | None) -> str:
    """Write a file to an object that is still as `expected`, or still missing if that is None, and return its new tag.

    Storage without conditional writes replaces whatever is there.

    Raises:
        InvalidInput: the object is another one.
        MissingArtifact: the storage cannot be reached.
    """
    timeout_seconds = TIMEOUT_SECONDS + file.stat().st_size / MIN_BYTES_PER_SECOND
    present = expected and describe(url, name)  # its tag is spelled as conditions need it
    if (present and present.tag) != (expected and expected.tag):
        raise changed_error(url, name)
    version = {} if present is None or present.version is None else {"version": present.version}
    mode = "create" if present is None else {"e_tag": present.e_tag, **version}
    try:
        return _tag(url, lambda: _obstore().put(storage(url, timeout_seconds), name, file, mode=mode))
    except _NotSupported:
        return write(url, name, file)
    except _OtherObject as error:
        raise changed_error(url, name) from error


def changed_error(url: str, name: str) -> InvalidInput:
    """Return the error that an object is not the one that was expected."""
    return InvalidInput(f"another command has written {url}/{name} since this one began; start the same command again")


def delete(url: str, names: Sequence[str]) -> None:
    """Remove objects, which may be missing.

    Raises:
        MissingArtifact: the storage cannot be reached.
    """
    if names:
        with contextlib.suppress(FileNotFoundError):
            _reach(url, lambda: _obstore().delete(storage(url), list(names)))


class _ObjectStream(io.RawIOBase):
    """An object as a stream of bytes, which `tarfile` and others need."""

    def __init__(self, url: str, reader: Any) -> None:
        self._url, self._reader = url, reader

    def readable(self) -> bool:
        """Return True, because the stream can be read."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill `target` with the next bytes, and return their number, which is 0 at the end."""
        content = memoryview(_reach(self._url, lambda: self._reader.read(len(target))))
        target[: len(content)] = content
        return len(content)


class _OtherObject(Exception):
    """An object is not the one that a conditional write expected."""


class _NotSupported(Exception):
    """The storage does not have a kind of request."""


def _stored(item: Any) -> StoredObject:
    return StoredObject(int(item["size"]), str(item["e_tag"] or ""), item["version"])


def _tag(url: str, put: Callable[[], Any]) -> str:
    """Return the tag of an object that was written."""
    try:
        return str(_reach(url, put)["e_tag"] or "").strip('"')
    except FileNotFoundError as error:
        raise MissingArtifact(f"nothing can be written to {url}; check that its bucket exists") from error


def _obstore() -> Any:
    """Return the package, which takes 0.04 s to import and is not needed for local files."""
    import obstore.store

    return obstore


def _credentials(url: str) -> dict[str, Any]:
    """Return where credentials for S3 come from if the environment has none: the files and roles that boto3 knows."""
    if not url.startswith("s3") or "AWS_ACCESS_KEY_ID" in os.environ or importlib.util.find_spec("boto3") is None:
        return {}
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return {"credential_provider": Boto3CredentialProvider()}
    except ValueError:  # it knows none; obstore may reach those of the machine
        return {}


def _reach(url: str, request: Callable[[], _Result]) -> _Result:
    """Return the result of a request.

    Raises:
        FileNotFoundError, PermissionError: as the storage says.
        MissingArtifact: the storage cannot be reached.
    """
    try:
        return request()
    except (FileNotFoundError, PermissionError, MissingArtifact):
        raise
    except Exception as error:
        if type(error).__name__ == "NotFoundError":
            raise FileNotFoundError(url) from error
        if type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
            raise _OtherObject from error
        if type(error).__name__ in ("NotSupportedError", "NotImplementedError"):
            raise _NotSupported from error
        if "NoSuchBucket" in str(error):
            raise MissingArtifact(f"there is no bucket for {url}; create it, or state another URL") from error
        reason = str(error).partition("\n")[0][:200]
        raise MissingArtifact(
            f"{url} cannot be reached ({type(error).__name__}: {reason}); check the network and the credentials, then "
            "start the same command again"
        ) from error
