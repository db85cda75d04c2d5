"""Any folder of audio: every file whose name looks like audio is a track; its id is its path below the root."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.track import Track
from stores.errors import MissingArtefact

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "wma", "aif", "aiff"),
        *("ac3", "amr", "ape", "au", "caf", "mka", "mp2", "mp4", "mpc", "oga", "tta", "voc", "webm", "wv"),
    )
)


def tracks(root: Path) -> list[Track]:
    """Every audio file below `root`, sorted by id; hidden files and folders are passed over.

    Each track is a group of its own: a bare folder does not say what belongs together.

    Raises:
        MissingArtefact: if `root` is not a folder, or holds no audio.
    """
    if not root.is_dir():
        raise MissingArtefact(f"{root} is not a folder; give the one that holds the audio with --root")
    found = sorted(_audio_files(root), key=lambda path: path.relative_to(root).as_posix())
    if not found:
        raise MissingArtefact(f"no audio below {root}; looked for {' '.join(sorted(SUFFIXES))}")
    ids = [path.relative_to(root).as_posix() for path in found]
    return [Track(id=name, path=path, group=name) for name, path in zip(ids, found, strict=True)]


def _audio_files(root: Path) -> list[Path]:
    return [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
