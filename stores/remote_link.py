"""Links to mel stores and shards in object storage: a local folder with their metadata and their URL.

STORES/.remote/DIGEST/NAME.zarr/      zarr.json, mel/zarr.json and manifest.parquet, as they are in the storage
                      NAME.shards/    index.json, and records of finished shards while they are written
                      (both)          remote.json, which states the URL

The metadata are copied each time a command names the URL. Frames and tars are read from the storage when they are
needed, and a tar that was written is moved there. An object appears whole or not at all, and the index of shards is
written last. Nothing locks the storage: two commands that make the shards of one store write the same bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from stores import locations, object_storage
from stores.commit import atomic_write, read_bounded, write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json

LINK = "remote.json"
MAX_LINK_BYTES, MAX_METADATA_BYTES = 1 << 16, 1 << 34
_METADATA = {".zarr": ("zarr.json", "mel/zarr.json", "manifest.parquet"), ".shards": ("index.json",)}


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
    base, name = split(url)
    suffix = Path(name).suffix
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


def split(url: str) -> tuple[str, str]:
    """Return the URL of the folder that holds a store, and the name of the store, which ends in .zarr or .shards.

    Raises:
        InvalidInput: no store can be at the URL.
    """
    base, _, name = url.rstrip("/").rpartition("/")
    if url.partition("://")[0] not in object_storage.SCHEMES or Path(name).suffix not in _METADATA or "::" in url:
        schemes = ", ".join(f"{scheme}://" for scheme in object_storage.SCHEMES)
        raise InvalidInput(f"{url} is not a store; state NAME.zarr or NAME.shards at one of {schemes}")
    if unsafe := sorted(set(url) & set("?#%")):
        raise InvalidInput(
            f"{url} contains {' and '.join(unsafe)}, which mean something else in a URL; choose another name"
        )
    return base, name


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


def name_of(folder: Path) -> str:
    """Return the URL of a link, or the path of any other folder, as a message should name it."""
    return url_of(folder) or str(folder)


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


@lru_cache(4)
def list_files(folder: Path) -> frozenset[str]:
    """Return the names of all files of a link, relative to it, as they were when it was first asked.

    Raises:
        MissingArtifact: the storage cannot be reached.
    """
    url = url_of(folder)
    assert url is not None, "only links have files elsewhere"
    return frozenset(object_storage.list_objects(url))


def has_file(folder: Path, file: Path) -> bool:
    """Return whether a file below a link was in the storage when `list_files` was first asked."""
    return file.relative_to(folder).as_posix() in list_files(folder)


def sizes_of(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the size of each file in a folder or behind a link in bytes, by one listing; -1 if there is none."""
    url = url_of(folder)
    if url is None:
        return {name: size_of(folder, name) for name in names}
    objects = object_storage.list_objects(url)
    return {name: objects[name].size_bytes if name in objects else -1 for name in names}


def size_of(folder: Path, name: str) -> int:
    """Return the size of a file in a folder or behind a link in bytes, or -1 if there is none."""
    url = url_of(folder)
    if url is None:
        return (folder / name).stat().st_size if (folder / name).is_file() else -1
    described = object_storage.describe(url, name)
    return -1 if described is None else described.size_bytes


def open_file(folder: Path, name: str) -> io.BufferedIOBase:
    """Open a file in a folder or behind a link for reading, from its start on.

    Raises:
        FileNotFoundError: there is no such file.
        MissingArtifact: the storage cannot be reached.
    """
    url = url_of(folder)
    if url is None:
        return (folder / name).open("rb")
    return object_storage.open_object(url, name)


def publish(file: Path, *, keep: bool = False) -> None:
    """Move a file that was written in a link to the storage. A file of any other folder stays as it is.

    Args:
        file: the file.
        keep: keep the local file, too.
    """
    url = url_of(file.parent)
    if url is None:
        return
    object_storage.write(url, file.name, file)
    if not keep:
        file.unlink()


def remove(folder: Path, name: str) -> None:
    """Remove a file in a folder or behind a link, if there is one."""
    (folder / name).unlink(missing_ok=True)
    if (url := url_of(folder)) is not None and size_of(folder, name) >= 0:
        object_storage.delete(url, [name])


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
            while block := source.read(object_storage.READ_BYTES):
                copy.write(block)
    return all((link / name).is_file() for name in names)
