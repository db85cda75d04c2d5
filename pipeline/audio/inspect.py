"""How long a recording claims to be, from its header alone: a bound to plan with, never a fact to rely on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import soundfile

from pipeline.audio import ffmpeg

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
LIMIT_SECONDS = 30.0


def claimed_seconds(path: Path) -> float | None:
    """Seconds that the header of `path` claims; None if it claims nothing or cannot be read.

    libsndfile answers in well under a millisecond for WAV, FLAC, OGG, Opus, MP3 and AIFF; the rest costs an ffmpeg
    process.
    """
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, UnicodeEncodeError):
        return _claimed_to_ffmpeg(path)
    return float(info.frames) / info.samplerate if 0 < info.frames < 1 << 40 else None


def _claimed_to_ffmpeg(path: Path) -> float | None:
    command = ffmpeg.inspect_command(path)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    found = _DURATION.search(done.stderr.decode("utf-8", "replace"))
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
