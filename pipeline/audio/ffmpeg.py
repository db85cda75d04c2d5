"""Decoding by the ffmpeg binary, in a separate process with a time limit.

The binary is the static one of the `imageio-ffmpeg` package, which has no ffprobe. `ffmpeg-python` builds the command
line. This module starts the process itself, because ffmpeg-python lets ffmpeg inherit standard input and does not drain
its error pipe.
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
MAX_LOG_BYTES = 1 << 16
MAX_MESSAGE_CHARACTERS = 2_048
NO_STREAM_MESSAGE = "matches no streams"
"""Text of the message of ffmpeg if a file has no audio stream."""
_REDUNDANT_OUTPUT = r" @ 0x[0-9a-f]+|^ *Last message repeated.*$|^Error opening input files?\b.*$"
# Audio containers and raw streams, without formats that name other files or hosts: concat, hls, dash, sdp, image2.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp3,mpc,mpc8,mpegts,ogg,tta,voc,w64,wav,wv"
)
_INPUT_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


@cache
def executable() -> str:
    """Return the path of the ffmpeg binary of the installed package.

    Raises:
        MissingArtifact: the package has no binary for this platform.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingArtifact(
            f"no ffmpeg binary: {error}; reinstall `imageio-ffmpeg`, or set IMAGEIO_FFMPEG_EXE"
        ) from error


@cache
def version() -> str:
    """Return the version of the binary, such as `ffmpeg 9.0.2`."""
    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version().lstrip('n').split('-')[0]}"


def decode_command(path: Path, timeout_seconds: float) -> list[str]:
    """Return the command that writes the first audio stream of `path` to standard output, as AU of big-endian float32.

    AU keeps the sample rate and the channels of the file and states both in 24 bytes, so no other program has to
    inspect the file.

    Args:
        path: the file.
        timeout_seconds: processor time after which the system ends ffmpeg, in case this process cannot.

    Raises:
        DecodeError: `unreadable`, if the path is not UTF-8. ffmpeg-python and the manifest need UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DecodeError("unreadable", f"the name {str(path)!r} is not UTF-8; rename the file") from error
    stream = ffmpeg.input(f"file:{path}", **_INPUT_OPTIONS)
    stream = ffmpeg.output(stream["a:0"], "pipe:1", format="au", acodec="pcm_f32be", map_metadata=-1)
    stream = stream.global_args(
        "-nostdin", "-hide_banner", "-v", "error", "-timelimit", str(math.ceil(timeout_seconds) + 1)
    )
    command: list[str] = stream.compile(cmd=executable())
    return command


def inspect_command(path: Path) -> list[str]:
    """Return the command that prints the header of `path` on standard error and then fails, having no output."""
    options = [word for name, value in _INPUT_OPTIONS.items() for word in (f"-{name}", value)]
    return [executable(), "-nostdin", "-hide_banner", *options, "-i", f"file:{path}"]


class FileDecoder:
    """The decoder of one file by an ffmpeg process. Its `messages` are complete when all blocks have been read.

    Args:
        path: the audio file.
        deadline: time limit, after which the process group is killed.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self._timed_out = False
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self.messages = ""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks of about a mebibyte of float32, full scale -1 to 1.

        Raises:
            DecodeError: `timeout`, or `no_audio` or `unreadable` if ffmpeg fails.
        """
        with closing(self._output()) as output:  # ends ffmpeg at once if the caller stops half-way
            stream = AuStream(output)
            for block in stream.blocks():
                self.rate_hz, self.channels = stream.rate_hz, stream.channels
                yield block

    def _output(self) -> Generator[bytes, None, None]:
        """Yield the bytes of standard output.

        Raises:
            DecodeError: `timeout`, or `no_audio` or `unreadable` if ffmpeg fails.
        """
        with tempfile.TemporaryFile() as errors:  # ffmpeg can block on a pipe, but not on a file
            process = subprocess.Popen(
                decode_command(self._path, self._deadline.timeout_seconds),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            assert process.stdout is not None
            timer = threading.Timer(self._deadline.remaining_seconds, self._expire, [process])
            timer.start()
            try:
                while block := process.stdout.read(BLOCK_BYTES):
                    yield block
                process.wait()
            finally:
                timer.cancel()
                _kill(process)
                process.stdout.close()
                self.messages = _read_messages(errors.fileno(), self._path)
        self._require_success(process.returncode)

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._timed_out = True
        _kill(process)

    def _require_success(self, status: int) -> None:
        if self._timed_out:
            raise self._deadline.timeout_error()
        if status != 0 and NO_STREAM_MESSAGE in self.messages:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        if status != 0:
            raise DecodeError("unreadable", f"{self.name}: {self.messages or f'ended with status {status}'}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_messages(descriptor: int, path: Path) -> str:
    """Return the messages without what differs between runs: addresses, the path of a copy, the order of threads."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, MAX_LOG_BYTES, max(0, size - MAX_LOG_BYTES)).decode("utf-8", "replace")
    messages = re.sub(_REDUNDANT_OUTPUT, "", content, flags=re.MULTILINE)
    messages = messages.replace(f"file:{path}", "the file")
    return "\n".join(sorted(set(filter(None, messages.splitlines()))))[-MAX_MESSAGE_CHARACTERS:]
