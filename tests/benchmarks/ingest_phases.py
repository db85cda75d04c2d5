"""The time that the phases of an ingest take inside the workers, while all of them work at the same time.

Every phase counts without the phases that it calls, so the phases of a task add up to its wall-clock time. Phases that
are measured alone, in one process, are too short: the workers share caches, memory and often the units of a core.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from pipeline.audio import attempt, code_spool, decode, dr_flac, ffmpeg, levels, libav, mel, resample, sndfile
from pipeline.ingestion import recording, region_task
from stores.mel_store import MelStore
from stores.quantize import Quantizer

TASK = "rest of a task"


class PhaseTimer:
    """The seconds of each phase in this process, by wall clock and by processor."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()
        self._local = threading.local()

    def begin(self, phase: str) -> None:
        """Count the time from now on for `phase`, until it ends or another phase begins inside of it."""
        self._count()
        self._local.stack.append(phase)

    def end(self) -> None:
        """Count the time from now on for the phase around this one."""
        self._count()
        self._local.stack.pop()

    def _count(self) -> None:
        local, now = self._local, (time.perf_counter(), time.thread_time())
        if not hasattr(local, "stack"):
            local.stack = []
        if local.stack:
            self.wall[local.stack[-1]] += now[0] - local.mark[0]
            self.processor[local.stack[-1]] += now[1] - local.mark[1]
        local.mark = now


_timer = PhaseTimer()


def _timed(phase: str, function: Callable) -> Callable:
    def run(*arguments, **options):
        _timer.begin(phase)
        try:
            return function(*arguments, **options)
        finally:
            _timer.end()

    return run


def _timed_blocks(function: Callable) -> Callable:
    def blocks(decoder):
        phase = f"decoding {decoder._path.suffix[1:]}"
        generator = function(decoder)
        try:
            while True:
                _timer.begin(phase)
                try:
                    block = next(generator, None)
                finally:
                    _timer.end()
                if block is None:
                    return
                yield block
        finally:
            generator.close()

    return blocks


PHASES = [
    (recording, "file_digest", "digest of the file"),
    (decode, "read_statement", "length that the file states"),
    (attempt, "mean_of_channels", "downmix"),
    (levels.LevelMeter, "add", "levels"),
    (levels.MonoLevels, "add", "levels"),
    (resample.Soxr, "__init__", "resampling"),
    (resample.Soxr, "push", "resampling"),
    (resample.Soxr, "finish", "resampling"),
    (mel.MelStream, "push", "mel"),
    (mel.MelStream, "finish", "mel"),
    (Quantizer, "encode", "quantizing"),
    (code_spool, "codes_digest", "digest of the codes"),
    (MelStore, "write_region", "writing and flushing the codes"),
    (MelStore, "finish_region", "recording the region"),
    (region_task, "run", TASK),
]


def install() -> None:
    """Measure the phases of all tasks of this process from now on."""
    if getattr(region_task, "is_measured", False):
        return
    region_task.is_measured = True
    for owner, name, phase in PHASES:
        setattr(owner, name, _timed(phase, getattr(owner, name)))
    for module in (libav, sndfile, dr_flac, ffmpeg):
        module.FileDecoder.blocks = _timed_blocks(module.FileDecoder.blocks)


def seconds() -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of each phase in this process so far, by wall clock and by processor."""
    return dict(_timer.wall), dict(_timer.processor)
