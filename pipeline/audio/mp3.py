"""Samples as an MP3 file, by the ffmpeg binary that decodes what no other decoder reads.

Samples go in through standard input as raw float32, so no name of a file and nothing foreign stands in the command.
Five seconds at 16 kHz make 30 kB and take 0.1 s, most of it to start the process.
"""

from __future__ import annotations

import subprocess

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import ffmpeg
from stores.errors import MissingArtifact

KILOBITS = 48
"""A second, for mono: at 16 kHz hard to tell from what went in."""
_LIMIT_SECONDS = 60.0


def encode_command(rate_hz: int) -> list[str]:
    """Command that turns raw mono float32 on standard input into MP3 on standard output."""
    given = ["-protocol_whitelist", "pipe", "-f", "f32le", "-ar", str(int(rate_hz)), "-ac", "1", "-i", "pipe:0"]
    made = ["-map_metadata", "-1", "-c:a", "libmp3lame", "-b:a", f"{KILOBITS}k", "-f", "mp3", "-bitexact", "pipe:1"]
    return [ffmpeg.executable(), "-hide_banner", "-v", "error", *given, *made]


def encode(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    """Mono samples `[T]`, full scale -1 to 1, as MP3; the same samples give the same bytes.

    Args:
        samples: at least one.
        rate_hz: theirs; ffmpeg resamples where MP3 has no such rate.

    Raises:
        MissingArtifact: this ffmpeg cannot write MP3.
    """
    content = np.ascontiguousarray(np.clip(samples, -1, 1), "<f4").tobytes()
    try:
        done = subprocess.run(encode_command(rate_hz), input=content, capture_output=True, timeout=_LIMIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise MissingArtifact(f"{ffmpeg.version()} took over {_LIMIT_SECONDS:g} s to write MP3") from error
    if done.returncode or not done.stdout:
        words = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise MissingArtifact(
            f"{ffmpeg.version()} cannot write MP3 at {rate_hz} Hz: {words or 'it wrote nothing'}; "
            "reinstall `imageio-ffmpeg`, or set IMAGEIO_FFMPEG_EXE to one with libmp3lame"
        )
    return done.stdout
