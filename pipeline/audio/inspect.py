"""The length that the header of an audio file claims. It is used to plan, and is never trusted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import soundfile

from pipeline.audio import ffmpeg, sndfile

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
TIMEOUT_SECONDS = 30.0


def claimed_seconds(path: Path, in_process: bool = True) -> float | None:
    """Return the seconds that the header of `path` claims, or None if it claims nothing or cannot be read.

    libsndfile takes well under a millisecond for WAV, FLAC, OGG, MP3 and AIFF. Other formats need an ffmpeg process.
    libsndfile gets an open file. With a name, it would also look for a Macintosh resource fork beside the file.

    Args:
        path: the audio file.
        in_process: whether libsndfile may be used in this process.
    """
    try:
        with path.open("rb", buffering=0) as content:  # unbuffered, so that the descriptor has its position
            if not (head := content.read(sndfile.HEAD_BYTES)):
                return 0.0  # an empty file will be rejected and needs no space
            use_libsndfile = in_process and sndfile.supports(head)
            content.seek(0)
            return _seconds_by_libsndfile(content.fileno()) if use_libsndfile else _seconds_by_ffmpeg(path)
    except soundfile.LibsndfileError:
        return _seconds_by_ffmpeg(path)
    except OSError:
        return None


def _seconds_by_libsndfile(descriptor: int) -> float | None:
    with soundfile.SoundFile(descriptor, closefd=False) as file:
        return float(file.frames) / file.samplerate if 0 < file.frames < 1 << 40 else None


def _seconds_by_ffmpeg(path: Path) -> float | None:
    command = ffmpeg.inspect_command(path)
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    duration = _DURATION.search(result.stderr.decode("utf-8", "replace"))
    return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3]) if duration else None
