"""Decoding by the ffmpeg binary, in a separate process with a time limit.

The binary is the static one of the `imageio-ffmpeg` package, which has no ffprobe. `ffmpeg-python` builds the command
line. This module starts the process itself, because ffmpeg-python lets ffmpeg inherit standard input and does not drain
its error pipe.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import closing
from functools import cache
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipeline.audio import child_process
from pipeline.audio.au import AuStream
from pipeline.audio.deadline import Deadline
from pipeline.audio.ffmpeg_log import FfmpegLog
from pipeline.audio.lengths.statement import NO_STATEMENT, Statement
from stores.errors import DecodeError, MissingArtifact

BLOCK_BYTES = 1 << 20
MAX_LOG_BYTES = 1 << 16
MAX_MESSAGE_CHARACTERS = 2_048
NO_STREAM_MESSAGE = "matches no streams"
"""Text of the message of ffmpeg if a file has no audio stream."""
# Audio containers and raw streams, without formats that name other files or hosts: concat, hls, dash, sdp, image2.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp3,mpc,mpc8,mpegts,ogg,tta,voc,w64,wav,wv"
)
CHECKED_MAGICS = (b"wvpk", b"TTA1", b"TTA2")
"""First bytes of files whose checksums ffmpeg compares. Otherwise it returns noise or NaN for damaged blocks without a
message. Wrong checksums of sound files are known in MPEG audio only."""
MATROSKA_MAGIC, CHECKED_CODECS = b"\x1a\x45\xdf\xa3", (b"A_WAVPACK4", b"A_TTA1", b"A_FLAC")
"""First bytes of Matroska, and the codecs in it whose checksums ffmpeg compares."""
_HEAD_BYTES = 1 << 14
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


def decode_command(path: Path, timeout_seconds: float, end: int = 0) -> list[str]:
    """Return the command that writes the first audio stream of `path` to standard output, as AU of big-endian float32.

    AU keeps the sample rate and the channels of the file and states both in 24 bytes, so no other program has to
    inspect the file.

    Args:
        path: the file.
        timeout_seconds: processor time after which the system ends ffmpeg, in case this process cannot.
        end: number of bytes to read, or 0 for the whole file.

    Raises:
        DecodeError: `unreadable`, if the path is not UTF-8. ffmpeg-python and the manifest need UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DecodeError("unreadable", f"the name {str(path)!r} is not UTF-8; rename the file") from error
    options = {**_INPUT_OPTIONS, "protocol_whitelist": "file,subfile"} if end else _INPUT_OPTIONS
    checks = {"err_detect": "crccheck"} if _has_checksums(path) else {}
    stream = ffmpeg.input(_url(path, end), **options, **checks)
    stream = ffmpeg.output(stream["a:0"], "pipe:1", format="au", acodec="pcm_f32be", map_metadata=-1)
    stream = stream.global_args(
        *(
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-v",
            "level+info",
            "-timelimit",
            str(math.ceil(timeout_seconds) + 1),
        ),
        *("-max_error_rate", "1"),  # however much is damaged, the rest is audio
    )
    command: list[str] = stream.compile(cmd=executable())
    return command


def inspect_command(path: Path) -> list[str]:
    """Return the command that prints the header of `path` on standard error and then fails, having no output."""
    return [executable(), "-nostdin", "-hide_banner", *_input_words(path)]


def packets_command(path: Path) -> list[str]:
    """Return the command that reads the packets of the first audio stream, and prints the time of the last one.

    Nothing is decoded. The output has a line `out_time_us=MICROSECONDS`.
    """
    report = ["-v", "error", "-nostats", "-progress", "pipe:1", "-stats_period", "1000000"]
    return [executable(), "-nostdin", *report, *_input_words(path), "-map", "a:0", "-c", "copy", "-f", "null", "-"]


def _has_checksums(path: Path) -> bool:
    """Return whether the checksums of a file are compared. Without them, a changed bit is found by chance."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:  # ffmpeg reports it
        return False
    if head.startswith(MATROSKA_MAGIC):
        return any(codec in head for codec in CHECKED_CODECS)
    return head.startswith(CHECKED_MAGICS)


def _url(path: Path, end: int = 0) -> str:
    return f"subfile,,start,0,end,{end},,:file:{path}" if end else f"file:{path}"


def _input_words(path: Path) -> list[str]:
    options = [word for name, value in _INPUT_OPTIONS.items() for word in (f"-{name}", value)]
    return [*options, "-i", f"file:{path}"]


class FileDecoder:
    """The decoder of one file by an ffmpeg process. Its `messages` are complete when all blocks have been read.

    Args:
        path: the audio file.
        deadline: time limit, after which the process group is killed.
        statement: what the file states of its length, with the end of the audio where tags follow it.
    """

    is_exhaustive = measures_peak = True

    def __init__(self, path: Path, deadline: Deadline, statement: Statement = NO_STATEMENT) -> None:
        self._path = path
        self._deadline = deadline
        self._end = statement.audio_end
        self._log = FfmpegLog("")
        self.name = version()
        self.rate_hz, self.channels = 0, 0

    @property
    def messages(self) -> str:
        """Errors that ffmpeg reported."""
        return self._log.errors().replace(_url(self._path, self._end), "the file")[-MAX_MESSAGE_CHARACTERS:]

    @property
    def statement(self) -> Statement:
        """The length that the container states, if any."""
        return Statement(self._log.stated_seconds(), self._log.tolerance_seconds(), "the container states")

    @property
    def stores_floats(self) -> bool:
        """True if the file holds samples in floating point."""
        return self._log.stores_floats()

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
            command = decode_command(self._path, self._deadline.timeout_seconds, self._end)
            try:
                with child_process.start(command, self._deadline, stdout=subprocess.PIPE, stderr=errors) as process:
                    assert process.stdout is not None
                    while block := process.stdout.read(BLOCK_BYTES):
                        yield block
                    process.wait()
            finally:
                self._log = FfmpegLog(_read(errors.fileno()))
        self._require_success(process.returncode)

    def _require_success(self, status: int) -> None:
        if status == -signal.SIGKILL and not self._deadline.remaining_seconds:
            raise self._deadline.timeout_error()
        if status != 0 and NO_STREAM_MESSAGE in self.messages:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        if status != 0:
            raise DecodeError("unreadable", f"{self.name}: {self.messages or f'ended with status {status}'}")


def _read(descriptor: int) -> str:
    """Return the start and the end of a file as text. The start has the header, and the end the last errors."""
    size = os.fstat(descriptor).st_size
    start = os.pread(descriptor, MAX_LOG_BYTES, 0)
    end = os.pread(descriptor, MAX_LOG_BYTES, max(len(start), size - MAX_LOG_BYTES))
    return (start + end).decode("utf-8", "replace")
