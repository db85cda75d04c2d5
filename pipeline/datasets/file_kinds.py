"""Kinds of files by their names: audio, containers of audio, and everything that is passed over, which is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.audio import container

Kind = Literal["audio", "container", "unknown", "AppleDouble", "other"]
"""`unknown`: the name does not say, so the first bytes decide. `AppleDouble`: metadata of macOS beside a file."""

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "bwf", "rf64", "bw64", "w64", "aif", "aiff", "aifc", "au", "snd", "caf", "voc"),
        *("flac", "ape", "wv", "tta", "mpc", "mpp", "mp+", "mp1", "mp2", "m2a", "mp3", "mpa", "mpga"),
        *("aac", "adts", "ac3", "eac3", "ec3", "ogg", "oga", "ogv", "ogx", "opus", "spx", "wma", "wmv", "asf"),
        *("m4a", "m4b", "m4r", "m4v", "f4a", "f4b", "f4v", "mp4", "mov", "qt", "3gp", "3gpp", "3ga", "3g2"),
        *("amr", "awb", "flv", "avi", "mka", "mkv", "webm", "weba", "m2ts"),
    )
)
"""Usual suffixes of the formats that the decoders read, video with sound among them."""

AMBIGUOUS_SUFFIXES = frozenset({".ts", ".mts"})
"""Suffixes of MPEG transport streams and of TypeScript. The first bytes decide."""

_SYSTEM_FOLDERS = frozenset(
    (
        *("__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"),
        *(".git", ".hg", ".svn", ".bzr", ".dvc", ".datalad", ".idea", ".vscode", ".venv", ".tox", ".nox", ".eggs"),
        *(".ipynb_checkpoints", ".appledouble", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".trashes"),
        *(".documentrevisions-v100", ".thumbnails", ".thumb", ".snapshot", ".snapshots", ".zfs", ".stversions"),
        *(".stfolder", ".sync", ".dropbox", ".recycle", ".recycler", ".@__thumb", ".streams", ".terraform"),
    )
)
_SYSTEM_NAME = re.compile(r"\.(trash.*|.*cache.*|nfs.*|fuse_hidden.*|sync-.*|local|config)", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(?=[^.]*[a-z])[a-z0-9+_~-]{1,6}", re.ASCII)
MAX_SHOWN = 12
"""Number of suffixes, and of names of folders, that are named. Further ones are only counted."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case, or empty text.

    What follows a dot is a suffix if it has at most six letters and digits, and at least one letter. So `.38 Special`,
    `01. Song` and `jazz.00054` have none.
    """
    stem, _, last = name.rpartition("/")[2].rpartition(".")
    suffix = f".{last.lower()}"
    is_suffix = suffix in SUFFIXES or _SUFFIX.fullmatch(suffix)
    return suffix if stem and is_suffix else ""


def without_suffix(name: str) -> str:
    """Return a path without its suffix, if it has one."""
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else name


def kind(name: str) -> Kind:
    """Return the kind of a file by its name, without its folders."""
    if name.startswith("._"):
        return "AppleDouble"
    suffix = suffix_of(name)
    if suffix in SUFFIXES:
        return "audio"
    if container.kind(name):
        return "container"
    return "unknown" if not suffix or suffix in AMBIGUOUS_SUFFIXES else "other"


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name belongs to a system or a program and never holds recordings.

    Other folders whose names begin with a dot, such as `...And Justice for All`, are searched.
    """
    return name.lower() in _SYSTEM_FOLDERS or bool(_SYSTEM_NAME.fullmatch(name))


@dataclass
class PassedOver:
    """Counts of files and folders that were passed over, by reason and suffix."""

    suffixes: Counter[str] = field(default_factory=Counter)
    """Number of files by suffix."""
    folders: Counter[str] = field(default_factory=Counter)
    """Number of system folders by name. The files in them are not counted."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Number of files by other reasons."""

    def add_file(self, name: str) -> None:
        """Count a file by its kind or its suffix."""
        if kind(name) == "AppleDouble":
            self.reasons["AppleDouble (._*)"] += 1
        elif suffix := suffix_of(name):
            self.suffixes[suffix] += 1
        else:
            self.reasons["without a suffix, no audio"] += 1

    def counts(self) -> Mapping[str, int]:
        """Return all counts by description, the most frequent first."""
        folders = {f"system folders {name}": count for name, count in self.folders.most_common()}
        return {**dict(self.suffixes.most_common()), **folders, **dict(self.reasons.most_common())}

    def __str__(self) -> str:
        shown = [f"{count} {suffix}" for suffix, count in self.suffixes.most_common(MAX_SHOWN)]
        if len(self.suffixes) > MAX_SHOWN:
            rest = self.suffixes.most_common()[MAX_SHOWN:]
            shown.append(f"{sum(count for _, count in rest)} with {len(rest)} other suffixes")
        shown += [f"{count} {reason}" for reason, count in self.reasons.most_common()]
        if self.folders:
            names = ", ".join(name for name, _ in self.folders.most_common(MAX_SHOWN))
            more = ", ..." if len(self.folders) > MAX_SHOWN else ""
            noun = "system folder" if self.folders.total() == 1 else "system folders"
            shown.append(f"{self.folders.total()} {noun} ({names}{more})")
        return ", ".join(shown)
