"""Files that changed since their clips were stored: touched, moved, or replaced by another recording.

A file whose size and time of change are those of the stored row is not read. Any other file is compared by its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from pipeline.audio import source
from pipeline.audio.decode import file_digest
from pipeline.audio.remote import AudioPath
from pipeline.cluster.tasks import run_all
from stores.arrow_columns import GROUP_ROWS
from stores.errors import DecodeError
from stores.manifest import ClipRows
from stores.progress import Progress

FILES_PER_TASK = 64
_STORED = ("index", "source", "member", "source_digest", "source_bytes", "source_mtime_ns")


@dataclass(frozen=True)
class Place:
    """A file, or a member of a container, with the status of the file."""

    source: str
    """Path of the file relative to the root of the store."""
    member: str
    """Name in the container, or empty text."""
    size_bytes: int
    """Size of the file."""
    mtime_ns: int
    """Time of the last change of the file in nanoseconds since 1970."""


@dataclass(frozen=True)
class Suspect:
    """The stored clips of a recording whose file may have changed."""

    clips: tuple[int, ...]
    """Indices of the clips."""
    digest: str
    """Digest of the bytes that the clips were made from."""
    stored: Place
    """Place where the bytes were."""
    listed: Place
    """Place where the dataset lists the recording now."""


@dataclass(frozen=True)
class FileChanges:
    """The stored clips whose files changed."""

    replaced: tuple[Suspect, ...] = ()
    """Clips whose files hold another recording now."""
    moved: tuple[Suspect, ...] = ()
    """Clips whose recording is the same, but was moved or touched."""


def find(rows: ClipRows, listed: ClipRows, root: AudioPath, client: Client) -> FileChanges:
    """Compare the files of stored clips with the files that the dataset lists now.

    A file that cannot be read counts as unchanged, and so do files on remote storage, where each would cost a request.

    Args:
        rows: clips with frames.
        listed: the same clips as the dataset lists them, in the same order.
        root: folder of the audio.
        client: client of the cluster that computes digests.
    """
    if not isinstance(root, Path):
        return FileChanges()
    suspects = list(_suspects(rows, listed, root))
    batches = [suspects[i : i + FILES_PER_TASK] for i in range(0, len(suspects), FILES_PER_TASK)]
    results = run_all(client, partial(_compare, root), batches)
    outcomes = {"replaced": list[Suspect](), "moved": list[Suspect]()}
    for result in Progress(results, total=len(batches), desc="compare", unit="part", disable=len(batches) < 2):
        for suspect, outcome in result:
            outcomes[outcome].append(suspect)
    by_clip = {name: tuple(sorted(suspects, key=lambda suspect: suspect.clips)) for name, suspects in outcomes.items()}
    return FileChanges(**by_clip)


def clips_of(suspects: Sequence[Suspect]) -> NDArray[np.int64]:
    """Return the indices `[clips]` of the clips of all suspects."""
    return np.array([clip for suspect in suspects for clip in suspect.clips], np.int64)


def _suspects(rows: ClipRows, listed: ClipRows, root: Path) -> Iterator[Suspect]:
    """Yield the clips whose file has another path, size or time of change than their rows state."""
    recordings = groupby(_cells(rows, listed), key=lambda cells: cells[1:])
    statuses = _Statuses(root)
    for (old_source, old_member, digest, size, mtime_ns, new_source, new_member), clips in recordings:
        status = statuses.of(new_source)
        stored = Place(old_source, old_member, size, mtime_ns)
        if status is not None and stored != Place(new_source, new_member, *status):
            yield Suspect(tuple(cells[0] for cells in clips), digest, stored, Place(new_source, new_member, *status))


def _cells(rows: ClipRows, listed: ClipRows) -> Iterator[tuple[Any, ...]]:
    """Yield the columns `_STORED` of each clip with the source and the member that are listed now.

    They are read in parts, because as objects the cells of a million clips take a gigabyte.
    """
    for start in range(0, len(rows), GROUP_ROWS):
        part = slice(start, start + GROUP_ROWS)
        tables = rows[part].table(_STORED), listed[part].table(("source", "member"))
        yield from zip(*(column.to_pylist() for table in tables for column in table.columns), strict=True)


class _Statuses:
    """Size and time of change of files. The last one is remembered, because members of a container are adjacent."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: tuple[str, tuple[int, int] | None] = ("", None)

    def of(self, name: str) -> tuple[int, int] | None:
        """Return size and time of change of the file called `name`, or None if it cannot be read."""
        if name != self._last[0]:
            self._last = name, _status(self._root / name)
        return self._last[1]


def _status(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    return status.st_size, status.st_mtime_ns


def _compare(root: Path, suspects: Sequence[Suspect]) -> list[tuple[Suspect, str]]:
    """Return the suspects that did change, each with `replaced` or `moved`."""
    outcomes = [(suspect, _outcome(root, suspect)) for suspect in suspects]
    return [(suspect, outcome) for suspect, outcome in outcomes if outcome]


def _outcome(root: Path, suspect: Suspect) -> str:
    stored, listed = suspect.stored, suspect.listed
    try:
        is_same = _may_be_same(stored, listed) and _digest(root, listed) == suspect.digest
    except DecodeError:
        return ""
    if is_same:
        return "moved"
    is_other_file = (stored.source, stored.member) != (listed.source, listed.member)
    if is_other_file and _status(root / stored.source) == (stored.size_bytes, stored.mtime_ns):
        return ""  # the dataset prefers another copy now, and the stored clip is still that of its own file
    return "replaced"


def _may_be_same(stored: Place, listed: Place) -> bool:
    return bool(stored.member or listed.member) or stored.size_bytes == listed.size_bytes


def _digest(root: Path, place: Place) -> str:
    with source.open_audio(root / place.source, place.member) as path:
        return file_digest(path)
