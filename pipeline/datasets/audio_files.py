"""The audio files below a folder, recognized by their names. No file is opened or decoded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "wma", "aif", "aiff"),
        *("ac3", "amr", "ape", "au", "caf", "mka", "mp2", "mp4", "mpc", "oga", "tta", "voc", "w64", "webm", "wv"),
    )
)


@dataclass(frozen=True)
class AudioFiles:
    """The audio files below a folder."""

    root: Path
    """The folder."""
    names: Sequence[str]
    """Paths below `root` with `/`, sorted."""
    counts: Mapping[str, int]
    """Counts of files and folders that were skipped, by description. Empty if nothing was skipped."""

    def path(self, name: str) -> Path:
        """Return the path of the file `name`."""
        return self.root / name


def find(root: Path, *, follow_links: bool = False) -> AudioFiles:
    """Return every file below `root` that has the suffix of an audio format.

    Hidden files and folders are ignored. Files and folders that cannot be opened are counted. Each folder is listed
    once, and the status of each audio file is read once.

    Args:
        root: folder to search. If it is not a folder, the result has no files.
        follow_links: also search folders that are links. Each folder is searched once, even if several links lead to
            it. A file in a linked folder may have a different name on another machine, so only datasets
            with ids other than file names should use this. Links to files are always followed.
    """
    if not root.is_dir():
        return AudioFiles(root, [], {})
    walk = _Walk(root, follow_links)
    names = sorted(walk.names())
    counts = {"could not be opened": len(walk.errors), "linked folders not entered": walk.skipped_links}
    return AudioFiles(root, names, {description: count for description, count in counts.items() if count})


class _Walk:
    def __init__(self, root: Path, follow_links: bool) -> None:
        self.errors: list[OSError] = []
        self.skipped_links = 0
        self._root = root
        self._follow_links = follow_links
        # A link to the root or to a folder above it would start a loop through everything beside the root.
        self._visited = {_identity(folder) for folder in (root, *root.resolve().parents)}

    def names(self) -> list[str]:
        """Return the paths of all audio files relative to the root, with `/`."""
        names = []
        for path, folders, files in os.walk(self._root, onerror=self.errors.append, followlinks=self._follow_links):
            folder = Path(path)
            prefix = folder.relative_to(self._root).as_posix()
            folders[:] = [name for name in _links_last(folder, folders) if self._should_enter(folder / name)]
            audio = [name for name in files if _is_audio(name) and self._is_file(folder / name)]
            names += audio if prefix == "." else [f"{prefix}/{name}" for name in audio]
        return names

    def _should_enter(self, folder: Path) -> bool:
        if folder.name.startswith("."):
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


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _links_last(parent: Path, folders: Sequence[str]) -> list[str]:
    """Return the folders sorted by name, links last, so that a folder is entered by its own name before any link."""
    return sorted(folders, key=lambda name: ((parent / name).is_symlink(), name))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
