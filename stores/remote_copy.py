"""A copy of a finished mel store in object storage, to which only what has changed is written.

Frames are written first and the manifest last, so a reader finds no clip whose frames are not there yet. The manifest
is replaced only if it is still the one that was written or found before, where the storage has conditional writes, so
that two commands cannot replace each other's store without an error. What was written is recorded beside the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from stores import locations, object_storage
from stores.commit import read_bounded, write_json
from stores.errors import InvalidInput
from stores.json_codec import parse_json
from stores.object_storage import StoredObject
from stores.progress import Progress

MANIFEST, FRAMES = "manifest.parquet", "mel/c"
METADATA = ("mel/zarr.json", "zarr.json", MANIFEST)
"""Files of a mel store besides its frames, in the order in which they are written."""
CONNECTIONS = 8
"""Files that are written at a time. Each is at most a few MB, so that most of the time is waiting."""
_MAX_RECORD_BYTES = 1 << 30


class _Version(NamedTuple):
    """A version of a file, and of the object that it was written to."""

    size_bytes: int
    mtime_ns: int
    e_tag: str


@dataclass(frozen=True)
class CopySummary:
    """The work of one update of a copy."""

    written: int
    """Number of files that were written."""
    unchanged: int
    """Number of files that were there already."""
    removed: int
    """Number of files that were removed, because the store no longer has them."""
    written_bytes: int
    """Size of the files that were written, in bytes."""


class RemoteCopy:
    """The copy of a local mel store at a URL."""

    def __init__(self, store: Path, url: str) -> None:
        """Name a local store and the URL of its copy, both of which need not exist yet."""
        self.store, self.url = store, url.rstrip("/")
        self._record_file = locations.beside_store(store, ".copied.json")
        self._known = self._read_record()
        self._expected: StoredObject | None = None

    def require_own(self) -> None:
        """Check that nothing is at the URL, or a copy of this store as it was before.

        Raises:
            InvalidInput: another store is there, or another command has changed it.
            MissingArtifact: the storage cannot be reached.
        """
        there, known = object_storage.describe(self.url, MANIFEST), self._known.get(MANIFEST)
        is_own = there is None or (known is not None and known.e_tag == there.e_tag)
        if is_own or self._has_same_manifest():
            self._expected = there
            return
        raise InvalidInput(
            f"{self.url} holds a store that is not a copy of {self.store}; state another --store, or copy it here "
            f"first, for example with `aws s3 cp --recursive {self.url} {self.store}`, to continue it"
        )

    def update(self) -> CopySummary:
        """Write everything that differs, and remove what the store no longer has.

        Raises:
            InvalidInput: see `require_own`.
            MissingArtifact: the storage cannot be reached. The next update goes on where this one stopped.
        """
        self.require_own()
        there = object_storage.list_objects(self.url)
        paths = sorted((self.store / FRAMES).rglob("*"))
        frames = [path.relative_to(self.store).as_posix() for path in paths if path.is_file()]
        changed = [name for name in (*frames, *METADATA) if not self._is_there(name, there.get(name))]
        try:
            self._write(changed)
        finally:
            self._write_record()
        gone = [name for name in there.keys() - {*frames} if name.startswith(f"{FRAMES}/")]
        object_storage.delete(self.url, gone)
        size = sum(self._known[name].size_bytes for name in changed)
        return CopySummary(len(changed), len(frames) + len(METADATA) - len(changed), len(gone), size)

    def _write(self, names: Sequence[str]) -> None:
        """Write files: frames in any order, then the metadata one after another, with the manifest as the last one."""
        self._write_frames([name for name in names if name not in METADATA])
        for name in METADATA:
            if name in names:
                self._put(name)

    def _write_frames(self, names: Sequence[str]) -> None:
        with (
            ThreadPoolExecutor(CONNECTIONS) as pool,
            Progress(total=len(names), desc="copy", unit="file", disable=len(names) < CONNECTIONS) as bar,
        ):
            try:
                for _ in pool.map(self._put, names):
                    bar.update(1)
            except BaseException:  # also Ctrl-C: files that are being written are finished, and no other is begun
                pool.shutdown(cancel_futures=True)
                raise

    def _put(self, name: str) -> None:
        size, mtime_ns = self._status(name)
        if name == MANIFEST:
            tag = object_storage.replace(self.url, name, self.store / name, self._expected)
        else:
            tag = object_storage.write(self.url, name, self.store / name)
        self._known[name] = _Version(size, mtime_ns, tag)

    def _is_there(self, name: str, there: StoredObject | None) -> bool:
        return there is not None and self._known.get(name) == (*self._status(name), there.e_tag)

    def _status(self, name: str) -> tuple[int, int]:
        status = (self.store / name).stat()
        return status.st_size, status.st_mtime_ns

    def _has_same_manifest(self) -> bool:
        """Return whether the manifest in the storage is that of the store, as after a copy by another program."""
        local = self.store / MANIFEST
        if not local.is_file():
            return False
        with object_storage.open_object(self.url, MANIFEST) as there, local.open("rb") as here:
            return all(block == there.read(len(block)) for block in _blocks(here)) and not there.read(1)

    def _read_record(self) -> dict[str, _Version]:
        """Return what was written to this URL, or nothing if there is no record of it that can be read."""
        try:
            content: Any = parse_json(read_bounded(self._record_file, _MAX_RECORD_BYTES))
            if content["url"] == self.url:
                return {str(name): _Version(*values) for name, values in content["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # everything is written again, or the manifests are compared
        return {}

    def _write_record(self) -> None:
        write_json(self._record_file, {"url": self.url, "files": {name: [*v] for name, v in self._known.items()}})


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(object_storage.READ_BYTES):
        yield block
