"""The process that decodes uploads for the service, each in a child of its own.

A file can crash its decoder, or make it loop or allocate. The child has its own process group and limits of memory,
processor time, wall-clock time and file size, which the kernel enforces, so a file harms neither the service nor
another file. The host has one thread and has imported the decoders, so that a child is forked in a few milliseconds. A
new interpreter for each file would take 0.25 s.

The host reads one line of JSON for each file from standard input, and answers with a line that holds the exit status of
the child. The child writes the samples and a description of them into files that the line names.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.audio import native_output
from pipeline.audio.child_process import FFMPEG_LIMITS
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import decode
from stores.errors import DecodeError
from stores.json_codec import parse_json

GRACE_SECONDS = 5.0
"""Seconds beyond the time limit after which the kernel kills a decoder that does not look at the clock."""
MAX_MESSAGE_BYTES = 1 << 20
"""Bytes that a decoder may write beside the samples."""


def main() -> None:
    """Decode the files that standard input names until it ends."""
    native_output.disable()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the service stops the host when it has finished what is in hand
    for line in sys.stdin:
        print(_status_of_child(parse_json(line)), flush=True)


def _status_of_child(job: Mapping[str, Any]) -> int:
    """Return the exit status of the child that decodes a file: that of the program, or the negative signal."""
    child = os.fork()
    if child == 0:
        _run_child(job)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # not yet reaped, so the number of its group is its own
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_child(job: Mapping[str, Any]) -> None:
    """Decode a file and end the process, without the exit handlers of the host."""
    status = 1
    try:
        os.setsid()
        _limit(job)
        description = _decode(job)
        Path(job["description"]).write_text(json.dumps(description), "utf-8")
        status = 0
    finally:
        os._exit(status)


def _limit(job: Mapping[str, Any]) -> None:
    """Limit this process, before it opens the file."""
    seconds = job["decode_seconds"] + GRACE_SECONDS
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
    file_bytes = max_sample_bytes(job["rate_hz"], job["max_seconds"]) + MAX_MESSAGE_BYTES
    limits = {
        resource.RLIMIT_CPU: int(2 * seconds) + 1,
        resource.RLIMIT_DATA: job["data_bytes"],
        resource.RLIMIT_FSIZE: max(file_bytes, FFMPEG_LIMITS["RLIMIT_FSIZE"]),  # a child cannot raise it
        resource.RLIMIT_CORE: 0,
    }
    for name, value in limits.items():
        resource.setrlimit(name, (value, value))


def max_sample_bytes(rate_hz: int, max_seconds: float) -> int:
    """Return the size of the samples of the longest recording that is accepted, as float32."""
    return 4 * (int(max_seconds * rate_hz) + 1)


def _decode(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write the samples and return their description, or the reason why there are none."""
    try:
        audio = decode(
            Path(job["file"]),
            job["rate_hz"],
            max_seconds=job["max_seconds"],
            deadline=Deadline(job["decode_seconds"]),
            resampler=job["resampler"],
        )
    except DecodeError as error:
        return {"reason": error.reason, "detail": error.detail}
    except MemoryError:
        return {"reason": "crashed", "detail": "the decoder needs more memory than a recording may"}
    audio.samples.astype("<f4").tofile(job["samples"])
    return {
        "samples": len(audio.samples),
        "source_rate_hz": audio.source_rate_hz,
        "source_channels": audio.source_channels,
        "decoder": audio.decoder,
        "warnings": list(audio.warnings),
        "warning_text": audio.decoder_warnings,
    }
