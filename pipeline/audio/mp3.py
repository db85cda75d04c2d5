"""Encoding of samples to MP3 by the ffmpeg binary that also decodes.

The samples are passed as raw float32 through standard input, so the command contains no file names and no other
untrusted text. Five seconds at 16 kHz make 30 kB and take 0.1 s, most of it to start the process.
"""

from __future__ import annotations

import subprocess

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import ffmpeg
from stores.errors import MissingArtifact

KILOBITS_PER_SECOND = 48
"""Bit rate for mono. At 16 kHz the result is hard to distinguish from the input."""
_TIMEOUT_SECONDS = 60.0


def encode_command(rate_hz: int) -> list[str]:
    """Return the command that encodes raw mono float32 from standard input as MP3 on standard output."""
    source = ["-protocol_whitelist", "pipe", "-f", "f32le", "-ar", str(int(rate_hz)), "-ac", "1", "-i", "pipe:0"]
    codec = ["-map_metadata", "-1", "-c:a", "libmp3lame", "-b:a", f"{KILOBITS_PER_SECOND}k"]
    target = ["-f", "mp3", "-bitexact", "pipe:1"]
    return [ffmpeg.executable(), "-hide_banner", "-v", "error", *source, *codec, *target]


def encode(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    """Return mono samples `[T]`, full scale -1 to 1, as MP3. The same samples give the same bytes.

    Args:
        samples: at least one sample.
        rate_hz: sample rate in Hz. If MP3 does not support it, ffmpeg resamples.

    Raises:
        MissingArtifact: this ffmpeg cannot write MP3.
    """
    content = np.ascontiguousarray(np.clip(samples, -1, 1), "<f4").tobytes()
    try:
        result = subprocess.run(encode_command(rate_hz), input=content, capture_output=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise MissingArtifact(f"{ffmpeg.version()} took over {_TIMEOUT_SECONDS:g} s to write MP3") from error
    if result.returncode or not result.stdout:
        messages = result.stderr.decode("utf-8", "replace").strip()[-500:]
        raise MissingArtifact(
            f"{ffmpeg.version()} cannot write MP3 at {rate_hz} Hz: {messages or 'it wrote nothing'}; "
            "reinstall `imageio-ffmpeg`, or set IMAGEIO_FFMPEG_EXE to a binary with libmp3lame"
        )
    return result.stdout
