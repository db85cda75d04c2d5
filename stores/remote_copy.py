"""A copy of a mel store in object storage, to which only what has changed is written.

What was written is recorded in the folder of the store, so that the record ends with the store. `zarr.json` is written
first, then the frames, and the manifest last. Both are written on the condition that nobody else has changed them,
where the storage has conditional writes, so that two commands cannot replace each other's store without an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from stores import object_storage
from stores.commit import read_bounded, write_json
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import parse_json
from stores.mel_array import ARRAY_METADATA
from stores.mel_attributes import METADATA
from stores.mel_store import MANIFEST
from stores.object_storage import StoredObject
from stores.progress import Progress

RECORD = "copied.json"
FRAMES = "mel/c"
"""Folder of the frames in a store."""
MAX_CONNECTIONS = 8
"""Files that are written at a time. Each is at most a few MB, so that most of the time is waiting."""
_RECORD_SECONDS = 60.0
_MAX_RECORD_BYTES = 1 << 30


class _Copied(NamedTuple):
    """State of a file when it was written, and the tag of the object that it was written to."""

    size_bytes: int
    mtime_ns: int
    tag: str


@dataclass(frozen=True)
class CopySummary:
    """The work of one update of a copy."""

    written: int
    """Number of files that were written."""
    unchanged: int
    """Number of files that the copy had already."""
    removed: int
    """Number of files that were removed from the copy, because the store no longer has them."""
    written_bytes: int
    """Size of the files that were written, in bytes."""


class RemoteCopy:
    """The copy of a local mel store at a URL."""

    def __init__(self, store: Path, url: str) -> None:
        """Name a local store and the URL of its copy, both of which need not exist yet."""
        self.store, self.url = store, object_storage.usual_scheme(url.rstrip("/"))
        self._record: dict[str, _Copied] = {}
        self._objects: dict[str, StoredObject] = {}

    def require_replaceable(self) -> None:
        """Check that the URL is empty, or holds an earlier copy of this store.

        Raises:
            InvalidInput: another store or something else is at the URL, or another command has changed the copy.
            MissingArtifact: the storage cannot be reached.
        """
        self._record = self._read_record()
        self._objects = object_storage.list_objects(self.url)
        first = MANIFEST if MANIFEST in self._objects else METADATA
        if not self._objects or self._is_recorded(first):
            return
        if not self._has_same_content(first):
            raise InvalidInput(
                f"{self.url} is not empty, and does not hold a copy of {self.store}; state another --store. To "
                f"continue a store that is only there, copy it to {self.store} first, for example with "
                "`aws s3 cp --recursive`"
            )
        self._remember(first, self._objects[first].tag)  # so that it is known after the store has changed
        self._write_record()

    def update(self) -> CopySummary:
        """Write everything that differs, and remove what the store no longer has.

        `require_replaceable` must have passed before the store was changed.

        Raises:
            InvalidInput: another command has changed the copy since.
            MissingArtifact: the storage cannot be reached. The next update continues where this one stopped.
        """
        before = self._objects
        self._require_unchanged(before.get(MANIFEST))
        self._objects = object_storage.list_objects(self.url)
        paths = sorted((self.store / FRAMES).rglob("*"))
        frames = [path.relative_to(self.store).as_posix() for path in paths if path.is_file()]
        names = [METADATA, *frames, *self._last_files()]
        changed = [name for name in names if not self._is_copied(name)]
        try:
            self._write(changed, before)
        finally:
            self._write_record()
        removed = [name for name in self._objects.keys() - {*frames} if name.startswith(f"{FRAMES}/")]
        object_storage.delete(self.url, removed)
        written_bytes = sum(self._record[name].size_bytes for name in changed)
        return CopySummary(len(changed), len(names) - len(changed), len(removed), written_bytes)

    def _require_unchanged(self, expected: StoredObject | None) -> None:
        present = object_storage.describe(self.url, MANIFEST)
        if (present and present.tag) != (expected and expected.tag):
            raise object_storage.changed_error(self.url, MANIFEST)

    def _last_files(self) -> tuple[str, str]:
        """Return the array's metadata and the manifest in the order in which they are written.

        A reader needs an array that is as long as the manifest says. A shorter one, after clips were removed, follows.
        """
        is_shorter = self._frames_there() > _frames_of(self.store / ARRAY_METADATA)
        return (MANIFEST, ARRAY_METADATA) if is_shorter else (ARRAY_METADATA, MANIFEST)

    def _frames_there(self) -> int:
        if ARRAY_METADATA not in self._objects:
            return 0
        with object_storage.open_object(self.url, ARRAY_METADATA) as content:
            return _length(content.read())

    def _write(self, names: Sequence[str], before: Mapping[str, StoredObject]) -> None:
        if METADATA in names:  # a new copy is claimed before anything else is written
            self._replace(METADATA, before.get(METADATA))
        self._write_frames([name for name in names if name.startswith(f"{FRAMES}/")])
        for name in names:
            if name == ARRAY_METADATA:
                self._write_file(ARRAY_METADATA)
            elif name == MANIFEST:
                self._replace(MANIFEST, before.get(MANIFEST))

    def _write_frames(self, names: Sequence[str]) -> None:
        recorded = time.monotonic()
        with (
            ThreadPoolExecutor(MAX_CONNECTIONS) as pool,
            Progress(total=len(names), desc="copy", unit="file", disable=len(names) < MAX_CONNECTIONS) as bar,
        ):
            try:
                for _ in pool.map(self._write_file, names):
                    bar.update(1)
                    if time.monotonic() > recorded + _RECORD_SECONDS:
                        self._write_record()
                        recorded = time.monotonic()
            except BaseException:  # also Ctrl-C: files that are being written are finished, and no other is begun
                pool.shutdown(cancel_futures=True)
                raise

    def _write_file(self, name: str) -> None:
        self._remember(name, object_storage.write(self.url, name, self.store / name))

    def _replace(self, name: str, expected: StoredObject | None) -> None:
        self._remember(name, object_storage.replace(self.url, name, self.store / name, expected))

    def _remember(self, name: str, tag: str) -> None:
        self._record[name] = _Copied(*self._status(name), tag)

    def _is_recorded(self, name: str) -> bool:
        """Return whether an object is the one that was written last."""
        if name not in self._objects or name not in self._record:
            return False
        return self._record[name].tag == self._objects[name].tag != ""  # some storages state no tags

    def _is_copied(self, name: str) -> bool:
        """Return whether an object is the one that was written last, and its file has not changed since."""
        return self._is_recorded(name) and self._record[name][:2] == self._status(name)

    def _status(self, name: str) -> tuple[int, int]:
        status = (self.store / name).stat()
        return status.st_size, status.st_mtime_ns

    def _has_same_content(self, name: str) -> bool:
        """Return whether an object is equal to its file, as after a copy by another program."""
        file = self.store / name
        if name not in self._objects or not file.is_file():
            return False
        with object_storage.open_object(self.url, name) as content, file.open("rb") as local:
            return all(block == content.read(len(block)) for block in _blocks(local)) and not content.read(1)

    def _read_record(self) -> dict[str, _Copied]:
        """Return what was written to this URL, or nothing if no record of it can be read."""
        try:
            content: Any = parse_json(read_bounded(self.store / RECORD, _MAX_RECORD_BYTES))
            if content["url"] == self.url:
                return {str(name): _Copied(*values) for name, values in content["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CorruptArtifact):
            pass  # then files are compared, or written again
        return {}

    def _write_record(self) -> None:
        record = dict(self._record)  # other threads may add to it
        files = {name: [*copied] for name, copied in record.items() if (self.store / name).is_file()}
        write_json(self.store / RECORD, {"url": self.url, "files": files})


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(object_storage.READ_BYTES):
        yield block


def _frames_of(array: Path) -> int:
    return _length(array.read_bytes())


def _length(metadata: bytes) -> int:
    """Return the length of the frame axis of an array, or 0 if its metadata cannot be read, as of another array."""
    try:
        content: Any = parse_json(metadata)
        return int(content["shape"][1])
    except (ValueError, KeyError, TypeError, IndexError):
        return 0
