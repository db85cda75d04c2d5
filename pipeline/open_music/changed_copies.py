"""Changed copies of recordings, with which the robustness of a representation is measured.

mp3      encoded as MP3 at 64 kbit/s
quiet    12 dB quieter, as FLAC
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.audio import ffmpeg
from stores.commit import atomic_write
from stores.errors import DecodeError

CHANGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mp3": (".mp3", ("-codec:a", "libmp3lame", "-b:a", "64k", "-f", "mp3")),
    "quiet": (".flac", ("-filter:a", "volume=-12dB", "-codec:a", "flac", "-f", "flac")),
}
"""Suffix of the copies and words for ffmpeg, by name."""


def write_copies(root: Path, change: str, target: Path) -> int:
    """Write a changed copy of every recording and return their number. Copies that exist are kept.

    Args:
        root: folder with a folder of recordings for each album.
        change: a name of `CHANGES`.
        target: folder for the copies, which get the names of the recordings and another suffix.

    Raises:
        DecodeError: ffmpeg cannot convert a recording.
    """
    suffix, words = CHANGES[change]
    recordings = sorted(path for path in root.glob("*/*") if path.is_file())
    for recording in recordings:
        copy = (target / recording.relative_to(root)).with_suffix(suffix)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            _convert(recording, copy, words)
    return len(recordings)


def _convert(recording: Path, copy: Path, words: tuple[str, ...]) -> None:
    with atomic_write(copy) as temporary:
        source = (ffmpeg.executable(), "-nostdin", "-v", "error", "-y", "-i", f"file:{recording}", "-map", "0:a:0")
        rate = ("-ar", "44100", "-map_metadata", "-1")  # a rate that MP3 has, and no text of unknown length
        result = subprocess.run([*source, *rate, *words, f"file:{temporary}"], capture_output=True, check=False)
        if result.returncode:
            raise DecodeError("unreadable", f"{recording}: {result.stderr[-300:].decode(errors='replace')}")
