"""Changed copies of recordings, with which the robustness of a representation is measured.

mp3      encoded as MP3 at 64 kbit/s
quiet    12 dB quieter, as FLAC
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import soundfile

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
        DecodeError: neither ffmpeg nor libsndfile can read a recording.
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
        target = ("-map", "0:a:0", "-ar", "44100", "-map_metadata", "-1", *words, f"file:{temporary}")
        result = _run(("-i", f"file:{recording}"), target)
        if result.returncode:  # a few OGG files have a header that only libsndfile accepts
            result = _run(*_from_samples(recording, target))
        if result.returncode:
            raise DecodeError("unreadable", f"{recording}: {result.stderr[-300:].decode(errors='replace')}")


def _from_samples(recording: Path, target: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], bytes]:
    """Return source, target and standard input of ffmpeg for the samples that libsndfile decodes."""
    try:
        samples, rate_hz = soundfile.read(str(recording), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DecodeError("unreadable", f"{recording}: {error}") from error
    return ("-f", "f32le", "-ar", str(rate_hz), "-ac", str(samples.shape[1]), "-i", "pipe:0"), target, samples.tobytes()


def _run(source: tuple[str, ...], target: tuple[str, ...], samples: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-y", *source, *target]
    return subprocess.run(command, input=samples, capture_output=True, check=False)
