"""The recordings below a folder: audio files, and members of archives, recognized by their names.

Nothing is decoded. The first bytes are read only of files whose names do not state a format.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.audio import container, signature
from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets import file_kinds
from pipeline.datasets.file_kinds import PassedOver
from pipeline.datasets.lazy_sequences import Names

UNPACKED = "members of archives that are also unpacked beside them"
EMPTY = "archives without a recording"
REPLACED = "members of archives that are replaced by a later member of the same name"
SPECIAL = "links, devices and sparse files in archives"
REMOTE_CONTAINERS = "archives and Parquet files on remote storage, which are not read: copy them to a local folder"
REMOTE_BOUND_BITS = 48_000
"""Assumed lowest bit rate of a remote recording, in bits per second, so that no header must be downloaded. A recording
that is longer than this implies is planned again with its true length."""


@dataclass(frozen=True)
class AudioFiles:
    """The recordings below a folder."""

    root: AudioPath
    """The folder."""
    names: Sequence[str]
    """Paths below `root` with `/`, sorted. The name of a member is the path of its archive, `/`, and its name in it."""
    counts: Mapping[str, int]
    """Counts of files and folders that were skipped, by description. Empty if nothing was skipped."""
    passed_over: PassedOver = field(default_factory=PassedOver)
    """Counts of files that are not audio, and of system folders."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Paths of the archives by the names of their members."""
    parquets: Sequence[str] = ()
    """Paths of Parquet files, if they were asked for."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Sizes of the files in bytes, on remote storage only."""

    def path(self, name: str) -> AudioPath:
        """Return the path of the file `name`, or of the archive that holds it."""
        return self.root / self.members.get(name, name)

    def member(self, name: str) -> str:
        """Return the name of a recording in its archive, or empty text for a file."""
        archive = self.members.get(name)
        return name[len(archive) + 1 :] if archive else ""

    def bound_seconds(self, name: str) -> float:
        """Return an upper bound of the length of a remote recording, by its size. 0 for all others."""
        return self.sizes.get(name, 0) * 8 / REMOTE_BOUND_BITS

    def is_empty(self, name: str) -> bool:
        """Return whether a file has no bytes. Members of archives and remote files without a size count as filled."""
        if isinstance(self.root, RemotePath):
            return False
        try:
            return name not in self.members and self.path(name).stat().st_size == 0
        except OSError:
            return True

    def skipped_text(self) -> str:
        """Return all counts of what was skipped as one line, or empty text."""
        counts = [f"{description}: {count}" for description, count in self.counts.items()]
        passed_over = [f"passed over: {self.passed_over}"] if str(self.passed_over) else []
        return "; ".join(counts + passed_over)


def find(root: AudioPath, *, follow_links: bool = False, parquet: bool = False) -> AudioFiles:
    """Return every recording below `root`.

    Folders of systems and programs are not searched, and everything that is passed over is counted. Files and folders
    that cannot be opened are counted. Each folder is listed once, and the status of each audio file is read once. On
    remote storage, archives are not read.

    Args:
        root: folder to search. If it is not a folder, the result has no files.
        follow_links: also search folders that are links. Each folder is searched once, even if several links lead to
            it. A file in a linked folder may have a different name on another machine, so only datasets
            with ids other than file names should use this. Links to files are always followed.
        parquet: return the paths of Parquet files. Otherwise they are passed over.
    """
    if isinstance(root, RemotePath):
        return _find_remote(root)
    if not root.is_dir():
        return AudioFiles(root, [], {})
    walk = _FolderWalk(root, follow_links)
    containers: list[str] = []
    files = Names(walk.files(containers))
    archives = [name for name in containers if container.kind(name) != "parquet"]
    parquets = sorted(name for name in containers if container.kind(name) == "parquet")
    if not parquet:
        walk.passed_over.suffixes.update(dict.fromkeys([".parquet"], len(parquets)) if parquets else {})
    members, counts = _members(root, archives, frozenset(files) if archives else frozenset(), walk.passed_over)
    counts = {"could not be opened": len(walk.errors), "linked folders not entered": walk.skipped_links, **counts}
    return AudioFiles(
        root,
        sorted([*files, *members]) if members else files,
        {description: count for description, count in counts.items() if count},
        walk.passed_over,
        members,
        parquets if parquet else (),
    )


def _members(
    root: Path, archives: Sequence[str], files: frozenset[str], passed_over: PassedOver
) -> tuple[dict[str, str], dict[str, int]]:
    """Return the archives by the names of their recordings, and counts of what else was in them."""
    members: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for archive in sorted(archives):
        seen: set[str] = set()
        try:
            for name in _recordings_in(root / archive, passed_over):
                counts[REPLACED] += name in seen
                counts[UNPACKED] += name not in seen and _is_unpacked(archive, name, files)
                seen.add(name)
            counts[EMPTY] += not seen
        except container.DamagedContainer as error:
            counts[f"damaged: {archive} ({str(error)[:200]})"] = 1
        members.update({f"{archive}/{name}": archive for name in seen if not _is_unpacked(archive, name, files)})
    return members, dict(counts)


def _recordings_in(archive: Path, passed_over: PassedOver) -> Iterator[str]:
    """Yield the names of the recordings in an archive."""

    def skip(_: str) -> None:
        """Count a member that is not read."""
        passed_over.reasons[SPECIAL] += 1

    for member in container.members(archive, lambda name: file_kinds.kind(_base(name)) == "unknown", skip):
        folders = member.name.replace("\\", "/").split("/")[:-1]
        if system := next((name for name in folders if file_kinds.is_system_folder(name)), ""):
            passed_over.reasons[f"in {system} of archives"] += 1
        elif file_kinds.kind(_base(member.name)) == "audio" or signature.is_audio(member.head):
            yield member.name
        else:
            passed_over.add_file(_base(member.name))


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _is_unpacked(archive: str, member: str, files: frozenset[str]) -> bool:
    """Return whether a member is also a file beside its archive, or in a folder with the name of the archive."""
    folder, _, file_name = archive.rpartition("/")
    stem = file_name[: -len(".tar.gz")] if file_name.lower().endswith(".tar.gz") else file_name.rpartition(".")[0]
    beside = f"{folder}/" if folder else ""
    return f"{beside}{member}" in files or f"{beside}{stem}/{member}" in files


def _find_remote(root: RemotePath) -> AudioFiles:
    passed_over, sizes, containers = PassedOver(), dict[str, int](), 0
    for name, size in root.files().items():
        *folders, base = name.split("/")
        if system := next((folder for folder in folders if file_kinds.is_system_folder(folder)), ""):
            passed_over.reasons[f"in {system}"] += 1
        elif file_kinds.kind(base) == "container":
            containers += 1
        elif _is_remote_audio(root / name, file_kinds.kind(base), size):
            sizes[name] = size or 0
        else:
            passed_over.add_file(base)
    counts = {REMOTE_CONTAINERS: containers} if containers else {}
    return AudioFiles(root, sorted(sizes), counts, passed_over, sizes=sizes)


def _is_remote_audio(path: RemotePath, kind: file_kinds.Kind, size: int | None) -> bool:
    if kind != "unknown" or size == 0:  # web servers list no sizes
        return kind == "audio"
    try:
        return signature.is_audio(path.read_head(signature.HEAD_BYTES))
    except OSError:
        return False


class _FolderWalk:
    def __init__(self, root: Path, follow_links: bool) -> None:
        self.errors: list[OSError] = []
        self.skipped_links = 0
        self.passed_over = PassedOver()
        self._root = root
        self._follow_links = follow_links
        # A link to the root or to a folder above it would start a loop through everything beside the root.
        self._visited = {_identity(folder) for folder in (root, *root.resolve().parents)}

    def files(self, containers: list[str]) -> Iterator[str]:
        """Yield the paths of all audio files relative to the root, with `/`, and append those of containers."""
        for path, folders, files in os.walk(self._root, onerror=self.errors.append, followlinks=self._follow_links):
            folder = Path(path)
            prefix = "" if folder == self._root else f"{folder.relative_to(self._root).as_posix()}/"
            folders[:] = [name for name in _links_last(folder, folders) if self._should_enter(folder / name)]
            for name in files:
                kind = self._kind(folder / name)
                if kind == "audio":
                    yield f"{prefix}{name}"
                elif kind == "container":
                    containers.append(f"{prefix}{name}")

    def _kind(self, path: Path) -> file_kinds.Kind:
        """Return the kind of a file, and count it if it is passed over."""
        kind = file_kinds.kind(path.name)
        if kind in ("audio", "container", "unknown") and not self._is_file(path):
            self.passed_over.reasons["broken links, pipes and the like"] += 1
            return "other"
        if kind == "unknown" and self._is_audio(path):
            return "audio"
        if kind not in ("audio", "container"):
            self.passed_over.add_file(path.name)
        return kind

    def _should_enter(self, folder: Path) -> bool:
        if file_kinds.is_system_folder(folder.name):
            self.passed_over.folders[folder.name] += 1
            return False
        if not self._follow_links:
            self.skipped_links += folder.is_symlink()
            return not folder.is_symlink()
        try:
            identity = _identity(folder)
        except OSError as error:
            self.errors.append(error)
            return False
        is_new = identity not in self._visited
        self._visited.add(identity)
        return is_new

    def _is_file(self, path: Path) -> bool:
        try:
            return path.is_file()
        except OSError as error:  # a folder may allow listing its files but not reading their status
            self.errors.append(error)
            return False

    def _is_audio(self, path: Path) -> bool:
        try:
            with path.open("rb", buffering=0) as content:
                return signature.is_audio(content.read(signature.HEAD_BYTES) or b"")
        except OSError as error:
            self.errors.append(error)
            return False


def _links_last(parent: Path, folders: Sequence[str]) -> list[str]:
    """Return the folders sorted by name, links last, so that a folder is entered by its own name before any link."""
    return sorted(folders, key=lambda name: ((parent / name).is_symlink(), name))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
