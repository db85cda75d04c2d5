"""The length of an audio file, as its header claims it or as its packets and its size allow. It is used to plan."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from pipeline.audio import child_process, ffmpeg, sndfile
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths.by_format import read_statement
from pipeline.audio.native_output import NativeOutput
from stores.errors import DecodeError

TIMEOUT_SECONDS = 30.0
MAX_OUTPUT_BYTES = 1 << 20
MIN_BYTES_PER_SECOND = 1_000.0
"""Lowest plausible rate of a file: 8 kbit/s, the lowest bit rate of MP3. A header that claims more is not believed for
the plan, and a recording that is longer after all, such as silence in FLAC, is planned again with its true length."""
MAX_TRUSTED_SECONDS = 60.0
"""Length that a header may claim whatever the size of its file. Silence and quiet passages take fewer bytes than the
lowest plausible rate, and to plan such a clip again takes longer than a minute that is planned for nothing."""
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_PACKET_TIME = re.compile(r"out_time_us=(\d+)")


def claimed_seconds(path: Path, deadline: Deadline | None = None) -> float | None:
    """Return the seconds that the header of `path` claims, or None if it claims nothing or cannot be read.

    libsndfile takes well under a millisecond for WAV, FLAC, OGG, MP3 and AIFF. Other formats need an ffmpeg process.
    libsndfile gets an open file. With a name, it would also look for a Macintosh resource fork beside the file.

    Args:
        path: the audio file.
        deadline: time limit of ffmpeg (default: 30 s).
    """
    try:
        if not path.stat().st_size:
            return 0.0  # an empty file will be rejected and needs no space
        header = _sndfile_header(path)
    except OSError:
        return None
    if header is None:
        return _seconds_by_ffmpeg(path, deadline or Deadline(TIMEOUT_SECONDS))
    return header.frames / header.samplerate if 0 < header.frames < 1 << 40 else None


def bound_seconds(path: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> float:
    """Return the seconds that the header of `path` claims, or else those of its packets, as far as its size allows.

    A header that claims at most `MAX_TRUSTED_SECONDS` is believed in any case. If there is no claim, only the last
    frame of a FLAC file is read, and of any other file, ffmpeg reads all packets without decoding them.

    Args:
        path: the audio file.
        timeout_seconds: time limit of all programs together.

    Raises:
        OSError: the file cannot be read.
    """
    deadline = Deadline(min(timeout_seconds, TIMEOUT_SECONDS))
    most_seconds = path.stat().st_size / MIN_BYTES_PER_SECOND
    seconds = claimed_seconds(path, deadline)
    if seconds is not None:
        return seconds if seconds <= MAX_TRUSTED_SECONDS else min(seconds, most_seconds)
    seconds = _stated_seconds(path, deadline) or _seconds_by_packets(path, deadline)
    return min(seconds or most_seconds, most_seconds)


def _sndfile_header(path: Path) -> soundfile.SoundFile | None:
    """Return the header as libsndfile reads it, or None if libsndfile is not the better reader or fails."""
    with path.open("rb", buffering=0) as content:  # unbuffered, so that the descriptor has its position
        if not sndfile.supports(content.read(sndfile.HEAD_BYTES)):
            return None
        content.seek(0)
        try:
            # what libraries print here, they print again when the file is decoded, where it becomes a warning
            with NativeOutput().capture(), soundfile.SoundFile(content.fileno(), closefd=False) as file:
                return file
        except soundfile.LibsndfileError:
            return None


def _stated_seconds(path: Path, deadline: Deadline) -> float:
    """Return the length that the bytes of a file state, above all those of the last frame of a FLAC file, or 0."""
    try:
        return read_statement(path, deadline.require_remaining).seconds
    except DecodeError:
        return 0.0


def _seconds_by_ffmpeg(path: Path, deadline: Deadline) -> float | None:
    duration = _DURATION.search(_output(ffmpeg.inspect_command(path), deadline))
    return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3]) if duration else None


def _seconds_by_packets(path: Path, deadline: Deadline) -> float:
    """Return the time of the last packet, or 0 if ffmpeg cannot read the packets in time."""
    times = _PACKET_TIME.findall(_output(ffmpeg.packets_command(path), deadline))
    return int(times[-1]) / 1e6 if times else 0.0


def _output(command: Sequence[str], deadline: Deadline) -> str:
    """Return what a program prints on both outputs until it ends or is ended by the deadline."""
    with tempfile.TemporaryFile() as output:  # a program can block on a pipe, but not on a file
        with child_process.start(command, deadline, stdout=output, stderr=output) as process:
            process.wait()
        if process.returncode < 0 or not deadline.remaining_seconds:
            return ""
        start = max(0, os.fstat(output.fileno()).st_size - MAX_OUTPUT_BYTES)
        return os.pread(output.fileno(), MAX_OUTPUT_BYTES, start).decode("utf-8", "replace")
