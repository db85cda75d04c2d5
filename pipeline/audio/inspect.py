"""How long a recording claims to be, from its header alone: a bound to plan with, never a fact to rely on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import soundfile

from pipeline.audio import ffmpeg, sndfile

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
LIMIT_SECONDS = 30.0


def claimed_seconds(path: Path, in_process: bool = True) -> float | None:
    """Seconds that the header of `path` claims; None if it claims nothing or cannot be read.

    libsndfile answers in well under a millisecond for WAV, FLAC, OGG, MP3 and AIFF; the rest costs an ffmpeg process.
    It is given an open file: with a name it also looks for another file beside this one, a Macintosh's resource fork.

    Args:
        path: the audio file.
        in_process: whether libsndfile may be asked, in this process.
    """
    try:
        with path.open("rb", buffering=0) as content:  # a buffer would leave the descriptor behind what was read ahead
            if not (head := content.read(sndfile.HEAD_BYTES)):
                return 0.0  # an empty file, which will be refused, needs no room
            serves = in_process and sndfile.serves(head)
            content.seek(0)
            return _claimed_to_libsndfile(content.fileno()) if serves else _claimed_to_ffmpeg(path)
    except soundfile.LibsndfileError:
        return _claimed_to_ffmpeg(path)
    except OSError:
        return None


def _claimed_to_libsndfile(descriptor: int) -> float | None:
    with soundfile.SoundFile(descriptor, closefd=False) as file:
        return float(file.frames) / file.samplerate if 0 < file.frames < 1 << 40 else None


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
