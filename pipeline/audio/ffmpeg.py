"""The ffmpeg binary: found, described, and run on one file under a time limit.

The binary is the static one inside the `imageio-ffmpeg` wheel (no ffprobe), the command line is built by
`ffmpeg-python`; the process is ours, because ffmpeg-python lets ffmpeg inherit standard input and leaves its error
pipe undrained.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Generator
from contextlib import closing
from functools import cache
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipeline.audio.au import AuStream
from pipeline.audio.deadline import Deadline
from stores.errors import DecodeError, MissingArtifact

BLOCK_BYTES = 1 << 20
HEARD_BYTES = 1 << 16
LAST_WORDS_CHARACTERS = 2_048
NO_STREAM = "matches no streams"
"""What ffmpeg says where there is none of the kind that was asked for."""
_SAID_TWICE = r" @ 0x[0-9a-f]+|^ *Last message repeated.*$|^Error opening input files?\b.*$"
# Audio containers and raw streams. Left out is all that names other files or hosts: concat, hls, dash, sdp, image2.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp3,mpc,mpc8,mpegts,ogg,tta,voc,w64,wav,wv"
)
_INPUT_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


@cache
def executable() -> str:
    """Path of the ffmpeg binary that came with the install.

    Raises:
        MissingArtifact: if the wheel carries none for this platform.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingArtifact(
            f"no ffmpeg binary: {error}; reinstall `imageio-ffmpeg`, or set IMAGEIO_FFMPEG_EXE"
        ) from error


@cache
def version() -> str:
    """Version of the binary, e.g. `ffmpeg 9.0.2`."""
    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version().lstrip('n').split('-')[0]}"


def decode_command(path: Path, limit_seconds: float) -> list[str]:
    """Command that writes the first audio stream of `path` to standard output, as AU of big-endian float32.

    AU keeps rate and channels as the file has them and states both in 24 bytes, so no second program has to inspect.

    Args:
        path: the file.
        limit_seconds: processor time after which the system ends it, should nobody be left who could.

    Raises:
        DecodeError: `unreadable`, if the path is not UTF-8; neither ffmpeg-python nor a manifest can hold it.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DecodeError("unreadable", f"the name {str(path)!r} is not UTF-8; rename the file") from error
    stream = ffmpeg.input(f"file:{path}", **_INPUT_OPTIONS)
    stream = ffmpeg.output(stream["a:0"], "pipe:1", format="au", acodec="pcm_f32be", map_metadata=-1)
    stream = stream.global_args(
        "-nostdin", "-hide_banner", "-v", "error", "-timelimit", str(math.ceil(limit_seconds) + 1)
    )
    command: list[str] = stream.compile(cmd=executable())
    return command


def inspect_command(path: Path) -> list[str]:
    """Command that writes what the header of `path` says to standard error, then fails for want of an output."""
    options = [word for name, value in _INPUT_OPTIONS.items() for word in (f"-{name}", value)]
    return [executable(), "-nostdin", "-hide_banner", *options, "-i", f"file:{path}"]


class FileDecoder:
    """One ffmpeg process: iterate over its blocks, then ask for its last words.

    Args:
        path: the audio file.
        deadline: when the process group is killed.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self._timed_out = False
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self.last_words = ""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Interleaved samples `[T, channels]` float32, full scale -1 to 1, about a mebibyte at a time.

        Raises:
            DecodeError: `timeout`, or `unreadable` when ffmpeg fails.
        """
        with closing(self._output()) as output:  # whoever stops half-way ends ffmpeg now, not at collection
            stream = AuStream(output)
            for block in stream.blocks():
                self.rate_hz, self.channels = stream.rate_hz, stream.channels
                yield block

    def _output(self) -> Generator[bytes, None, None]:
        """Bytes of standard output.

        Raises:
            DecodeError: `timeout`, or `unreadable` when ffmpeg fails.
        """
        with tempfile.TemporaryFile() as errors:  # a file, not a pipe: ffmpeg can never block on it
            process = subprocess.Popen(
                decode_command(self._path, self._deadline.limit_seconds),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            assert process.stdout is not None
            timer = threading.Timer(self._deadline.left_seconds, self._expire, [process])
            timer.start()
            try:
                while block := process.stdout.read(BLOCK_BYTES):
                    yield block
                process.wait()
            finally:
                timer.cancel()
                _kill(process)
                process.stdout.close()
                self.last_words = _tail(errors.fileno(), self._path)
        self._require_success(process.returncode)

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._timed_out = True
        _kill(process)

    def _require_success(self, status: int) -> None:
        if self._timed_out:
            raise self._deadline.passed()
        if status != 0 and NO_STREAM in self.last_words:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        if status != 0:
            raise DecodeError("unreadable", f"{self.name}: {self.last_words or f'ended with status {status}'}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(descriptor: int, path: Path) -> str:
    """What was written, without what differs from run to run: addresses, the path of a copy, the order of threads."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, HEARD_BYTES, max(0, size - HEARD_BYTES)).decode("utf-8", "replace")
    words = re.sub(_SAID_TWICE, "", content, flags=re.MULTILINE)
    words = words.replace(f"file:{path}", "the file")
    return "\n".join(sorted(set(filter(None, words.splitlines()))))[-LAST_WORDS_CHARACTERS:]
