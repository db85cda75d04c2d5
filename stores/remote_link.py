"""Links to mel stores and shards in object storage: a local folder with their metadata and their URL.

STORES/.remote/DIGEST/NAME.zarr/      zarr.json, mel/zarr.json and manifest.parquet, as they are in the storage
                      NAME.shards/    index.json, and records of finished shards while they are written
                      (both)          remote.json, which states the URL

The metadata are copied each time a command names the URL. Frames and tars are read from the storage when they are
needed, and a tar that was written is moved there. An object appears whole or not at all, and the index of shards is
written last. Nothing locks the storage: two commands that make the shards of one store write the same bytes.

Credentials and endpoints come from the environment, as fsspec's packages for the storages read them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec

from stores import extras, locations
from stores.commit import atomic_write, read_bounded, write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json

LINK = "remote.json"
SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
MAX_LINK_BYTES, MAX_METADATA_BYTES = 1 << 16, 1 << 34
_METADATA = {".zarr": ("zarr.json", "mel/zarr.json", "manifest.parquet"), ".shards": ("index.json",)}
_READ_BYTES = 8 << 20


def is_url(text: str) -> bool:
    """Return whether `text` is a URL and not a local path."""
    return "://" in text


def store_path(text: str) -> Path:
    """Return the mel store or the shards that a command line names: a link for a URL, else `locations.store_path`.

    Raises:
        InvalidInput, MissingArtifact: no store can be read at a URL.
    """
    return connect(text) if is_url(text) else locations.store_path(text)


def connect(url: str) -> Path:
    """Return the link to the mel store or the shards at `url`, with their present metadata.

    Args:
        url: URL that ends in NAME.zarr or NAME.shards.

    Raises:
        InvalidInput: the URL is of another kind.
        MissingArtifact: nothing is there, the storage cannot be reached, or its package is not installed.
    """
    base, _, name = url.rstrip("/").rpartition("/")
    suffix = Path(name).suffix
    if url.partition("://")[0] not in SCHEMES or suffix not in _METADATA or "::" in url:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES if scheme != "memory")
        raise InvalidInput(f"{url} is not a store; state NAME.zarr or NAME.shards at one of {schemes}")
    below = locations.STORES / locations.REMOTE / hashlib.blake2b(base.encode(), digest_size=8).hexdigest()
    for kind in _METADATA:
        link = below / f"{name.removesuffix(suffix)}{kind}"
        if not (link / LINK).is_file():
            write_json(link / LINK, {"url": f"{base}/{link.name}"})
        is_complete = _copy_metadata(link)
        if link.name == name and not is_complete:
            raise MissingArtifact(
                f"nothing is at {url}, which needs {', '.join(_METADATA[suffix])}; copy a finished "
                f"{name} there, with all its files"
            )
    list_files.cache_clear()
    return below / name


def url_of(folder: Path) -> str | None:
    """Return the URL of a link, or None for any other folder.

    Raises:
        CorruptArtifact: the link is damaged.
    """
    try:
        content = parse_json(read_bounded(folder / LINK, MAX_LINK_BYTES))
        return str(content["url"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifact(f"{folder / LINK} is damaged: {error}; remove {folder}") from error


def require_local(folder: Path, action: str) -> None:
    """Check that a folder is not a link, before an action that needs local files.

    Raises:
        InvalidInput: it is a link. The message says what to do.
    """
    if (url := url_of(folder)) is not None:
        name = folder.name
        raise InvalidInput(
            f"{action} needs local files, and {url} is in object storage; copy it to stores/{name}, for example with "
            f"`aws s3 cp --recursive {url} stores/{name}`, and state {Path(name).stem} instead"
        )


def storage_options(url: str) -> dict[str, Any]:
    """Return the options of fsspec for a URL: time limits, and no memory of earlier listings."""
    limits = {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30}} if url.startswith("s3") else {}
    return {"use_listings_cache": False, **limits}


@lru_cache(4)
def list_files(folder: Path) -> frozenset[str]:
    """Return the names of all files of a link, relative to it, as they were when it was first asked.

    Raises:
        MissingArtifact: the storage cannot be reached.
    """
    url = url_of(folder)
    assert url is not None, "only links have files elsewhere"
    files, path = _file_system(url)
    names = _reach(url, lambda: files.find(path))
    return frozenset(str(name)[len(path) :].lstrip("/") for name in names)


def has_file(folder: Path, file: Path) -> bool:
    """Return whether a file below a link was in the storage when `list_files` was first asked."""
    return file.relative_to(folder).as_posix() in list_files(folder)


def sizes_of(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the size of each file in a folder or behind a link in bytes, by one listing; -1 if there is none."""
    url = url_of(folder)
    if url is None:
        return {name: size_of(folder, name) for name in names}
    files, path = _file_system(url)
    listed = _reach(url, lambda: files.find(path, detail=True))
    sizes = {str(file)[len(path) :].lstrip("/"): int(about["size"]) for file, about in listed.items()}
    return {name: sizes.get(name, -1) for name in names}


def size_of(folder: Path, name: str) -> int:
    """Return the size of a file in a folder or behind a link in bytes, or -1 if there is none."""
    url = url_of(folder)
    if url is None:
        return (folder / name).stat().st_size if (folder / name).is_file() else -1
    files, path = _file_system(url)
    try:
        return int(_reach(url, lambda: files.info(f"{path}/{name}"))["size"])
    except FileNotFoundError:
        return -1


def open_file(folder: Path, name: str) -> io.BufferedIOBase:
    """Open a file in a folder or behind a link for reading, from its start on.

    Raises:
        FileNotFoundError: there is no such file.
        MissingArtifact: the storage cannot be reached.
    """
    url = url_of(folder)
    if url is None:
        return (folder / name).open("rb")
    files, path = _file_system(url)
    stream: io.BufferedIOBase = _reach(
        url, lambda: files.open(f"{path}/{name}", "rb", block_size=_READ_BYTES, cache_type="readahead")
    )
    return stream


def publish(file: Path, *, keep: bool = False) -> None:
    """Move a file that was written in a link to the storage. A file of any other folder stays as it is.

    Args:
        file: the file.
        keep: keep the local file, too.
    """
    url = url_of(file.parent)
    if url is None:
        return
    files, path = _file_system(url)
    _reach(url, lambda: files.put_file(str(file), f"{path}/{file.name}"))
    if not keep:
        file.unlink()


def remove(folder: Path, name: str) -> None:
    """Remove a file in a folder or behind a link, if there is one."""
    (folder / name).unlink(missing_ok=True)
    if (url := url_of(folder)) is not None and size_of(folder, name) >= 0:
        files, path = _file_system(url)
        _reach(url, lambda: files.rm_file(f"{path}/{name}"))


def _copy_metadata(link: Path) -> bool:
    """Copy the metadata of a link, and return whether all of them are there. Files that are gone are removed."""
    names = _METADATA[link.suffix]
    for name in names:
        target = link / name
        size = size_of(link, name)
        if size < 0:
            target.unlink(missing_ok=True)
            continue
        if size > MAX_METADATA_BYTES:
            raise CorruptArtifact(f"{url_of(link)}/{name} has {size} bytes; at most {MAX_METADATA_BYTES} are accepted")
        with atomic_write(target) as temporary, temporary.open("wb") as copy, open_file(link, name) as source:
            while block := source.read(_READ_BYTES):
                copy.write(block)
    return all((link / name).is_file() for name in names)


def _file_system(url: str) -> tuple[Any, str]:
    scheme = url.partition("://")[0]
    if scheme in ("s3", "s3a"):
        extras.require("remote", f"{scheme}://")
    try:
        files = fsspec.filesystem(scheme, **storage_options(url))
    except ImportError as error:
        raise MissingArtifact(f"{scheme}:// needs a package that is not installed ({error})") from error
    return files, str(files._strip_protocol(url))


def _reach(url: str, request: Any) -> Any:
    """Return the result of a request.

    Raises:
        FileNotFoundError, PermissionError: as the storage says.
        MissingArtifact: the storage cannot be reached.
    """
    try:
        return request()
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        raise MissingArtifact(
            f"{url} cannot be reached ({type(error).__name__}: {error}); check the network and the credentials, then "
            "start the same command again"
        ) from error
