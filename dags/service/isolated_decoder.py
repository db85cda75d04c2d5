"""Decoding of uploads in other processes. What comes back from them is checked like a file from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dags.service.decoding_host import GRACE_SECONDS, MAX_MESSAGE_BYTES, max_sample_bytes
from pipeline.ingestion.python_process import max_data_bytes
from stores.commit import read_bounded
from stores.errors import REJECTION_REASONS, DecodeError
from stores.json_codec import parse_json
from stores.mel_flags import ResamplerName

START_SECONDS = 30.0
"""Seconds that a host may take to start and to answer, beyond the time limit of decoding."""
MAX_TEXT_CHARACTERS = 2_000
"""Characters of a text from a decoder that are passed on."""
_HOST_CODE = "from dags.service import decoding_host; decoding_host.main()"


@dataclass(frozen=True)
class DecodedUpload:
    """The samples of an upload, and what is known of its file."""

    samples: NDArray[np.float32]
    """Mono samples `[T]` at the requested rate, finite, with full scale -1 to 1."""
    source_rate_hz: int
    """Sample rate of the file in Hz."""
    source_channels: int
    """Number of channels of the file."""
    decoder: str
    """Name and version of the decoder."""
    warnings: tuple[str, ...]
    """Names of the warnings, such as `short` or `clipped`."""
    warning_text: str
    """Text of the warnings, or empty text."""


@dataclass(frozen=True)
class DecodingLimits:
    """Limits of one upload."""

    max_seconds: float
    """Longest recording in seconds of audio."""
    decode_seconds: float
    """Longest time that decoding may take, in seconds of wall clock."""


class IsolatedDecoder:
    """A few processes that decode uploads, each upload in a child of its own.

    Args:
        limits: limits of one upload.
        hosts: uploads that are decoded at the same time.
    """

    def __init__(self, limits: DecodingLimits, hosts: int) -> None:
        self._limits, self._data_bytes = limits, max_data_bytes()
        self._hosts = [_Host() for _ in range(hosts)]
        self._idle: queue.LifoQueue[_Host] = queue.LifoQueue()
        for host in self._hosts:
            self._idle.put(host)

    def decode(self, file: Path, rate_hz: int, resampler: ResamplerName) -> DecodedUpload:
        """Return the samples of `file` at `rate_hz`. Files are written beside it. Threads may call this together.

        Raises:
            DecodeError: the file cannot be decoded within its limits.
        """
        samples, description = file.with_name(f"{file.name}.f32"), file.with_name(f"{file.name}.json")
        job = {
            **vars(self._limits),
            "file": str(file),
            "samples": str(samples),
            "description": str(description),
            "rate_hz": rate_hz,
            "resampler": resampler,
            "data_bytes": self._data_bytes,
        }
        _require_success(self._run(job), self._limits.decode_seconds)
        return _read(samples, description, max_sample_bytes(rate_hz, self._limits.max_seconds))

    def _run(self, job: dict[str, Any]) -> int:
        host = self._idle.get()
        try:
            return host.run(job, self._limits.decode_seconds + GRACE_SECONDS + START_SECONDS)
        finally:
            self._idle.put(host)

    def close(self) -> None:
        """End the processes. Children that are decoding end at their time limit at the latest."""
        for host in self._hosts:
            host.close()


class _Host:
    """A process of `decoding_host`, which is started when it is needed and after it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, job: dict[str, Any], limit_seconds: float) -> int:
        """Return the exit status of the child that decodes a file."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            poll = select.poll()
            poll.register(process.stdout, select.POLLIN)
            line = process.stdout.readline() if poll.poll(1000 * limit_seconds) else b""
            return int(line)
        except (BrokenPipeError, ValueError) as error:
            self.close()
            raise DecodeError("crashed", "the process that decodes uploads has ended or does not answer") from error

    def _start(self) -> subprocess.Popen[bytes]:
        # one thread, because only the thread that forks goes on in a child
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOST_CODE],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _require_success(status: int, decode_seconds: float) -> None:
    if status in (-signal.SIGALRM, -signal.SIGXCPU):
        raise DecodeError("timeout", f"decoding took over {decode_seconds:g} s")
    if status == -signal.SIGXFSZ:
        raise DecodeError("too_long", "the samples do not fit into the space for the longest recording")
    if status < 0:
        raise DecodeError("crashed", f"the decoder was ended by {signal.Signals(-status).name}")
    if status:
        raise DecodeError("crashed", "the decoder failed in an unexpected way")


def _read(samples: Path, description: Path, max_bytes: int) -> DecodedUpload:
    """Return the result of a child, which a hostile file may have written."""
    try:
        content = parse_json(read_bounded(description, MAX_MESSAGE_BYTES))
        if "reason" in content:
            reason = content["reason"] if content["reason"] in REJECTION_REASONS else "crashed"
            raise DecodeError(reason, str(content["detail"])[:MAX_TEXT_CHARACTERS])
        size = samples.stat().st_size
        if not 0 < size <= max_bytes or size != 4 * content["samples"]:
            raise ValueError(f"{size} bytes of samples")
        values = np.fromfile(samples, "<f4").astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise ValueError("samples that are not finite")
        return DecodedUpload(
            values,
            int(content["source_rate_hz"]),
            int(content["source_channels"]),
            str(content["decoder"])[:MAX_TEXT_CHARACTERS],
            tuple(str(name)[:MAX_TEXT_CHARACTERS] for name in content["warnings"]),
            str(content["warning_text"])[:MAX_TEXT_CHARACTERS],
        )
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise DecodeError("crashed", f"the decoder has left no usable result: {error}") from error
