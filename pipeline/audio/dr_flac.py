"""Decoding of regular FLAC files of 16 bits by dr_flac in this process, through miniaudio.

FLAC is lossless, so the samples are bit for bit those of libsndfile. A clip takes two thirds of the time, because the
wheels of libsndfile copy the samples without optimization. dr_flac leaves out frames with a wrong checksum without a
word, so a file with fewer samples than stated is left to the next decoder. It writes float32 into the block itself:
miniaudio's own reader copies integers twice, and their conversion is a pass of its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import miniaudio
import numpy as np
from miniaudio import ffi, lib
from numpy.typing import NDArray

from pipeline.audio.block_buffer import BLOCK_SAMPLES, borrow
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths.flac_frame import MAGIC
from pipeline.audio.lengths.statement import NO_STATEMENT
from stores.errors import DecodeError

CHUNK_SAMPLES = 1 << 17
"""Samples of all channels that are decoded at a time. The deadline is checked between two such chunks."""
BITS, MAX_CHANNELS = 16, 2


def supports(head: bytes) -> bool:
    """Return whether dr_flac is the better decoder for a regular file that begins with `head`: at least 26 bytes."""
    if len(head) < 26 or head[:4] != MAGIC or head[4] & 0x7F:  # STREAMINFO comes first
        return False
    _, channels, bits, total = _layout(head)
    return bits == BITS and channels <= MAX_CHANNELS and total > 0


def version() -> str:
    """Return the version of the library, such as `miniaudio 0.11.25`."""
    return f"miniaudio {miniaudio.lib_version()}"


def _layout(head: bytes) -> tuple[int, int, int, int]:
    """Return sample rate in Hz, channels, bits of a sample, and samples of each channel, as STREAMINFO states them."""
    fields = int.from_bytes(head[18:26], "big")
    return fields >> 44, (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1, fields & (1 << 36) - 1


class FileDecoder:
    """The decoder of one file that `supports` has accepted.

    Args:
        path: the audio file.
        deadline: time limit, which is checked between blocks.
        head: the first bytes of the file.
        block_samples: samples of all channels in a block (default: `BLOCK_SAMPLES`).
    """

    is_exhaustive = measures_peak = stores_floats = False
    statement = NO_STATEMENT
    messages = ""

    def __init__(self, path: Path, deadline: Deadline, head: bytes, block_samples: int | None = None) -> None:
        self._path, self._deadline = path, deadline
        self._block_samples = block_samples or BLOCK_SAMPLES
        self._layout = _layout(head)
        self.name = version()
        self.rate_hz, self.channels = 0, 0

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks of float32, full scale -1 to 1.

        A block is valid until the next one is asked for.

        Raises:
            DecodeError: `unreadable` or `timeout`.
        """
        rate_hz, channels, _, remaining = self._layout
        with self._open(channels) as file, borrow() as buffer:
            for block in _read(file, buffer[: self._block_samples // channels * channels], self._deadline):
                self.rate_hz, self.channels = rate_hz, channels
                remaining -= len(block) // channels
                yield block.reshape(-1, channels)
        if remaining:
            self.rate_hz = 0  # the next decoder says what is wrong with the file
            raise DecodeError("unreadable", f"{self.name}: {remaining} samples are missing")

    @contextmanager
    def _open(self, channels: int) -> Iterator[Any]:
        """Open the file, which must still have `channels` channels: dr_flac does not know the size of a block."""
        file = lib.ma_dr_flac_open_file(os.fsencode(self._path), ffi.NULL)
        if not file:
            raise DecodeError("unreadable", f"{self.name}: the file cannot be opened")
        try:
            if file.channels != channels:
                raise DecodeError("unreadable", f"{self.name}: {file.channels} channels, but the header has {channels}")
            yield file
        finally:
            lib.ma_dr_flac_close(file)


def _read(file: Any, buffer: NDArray[np.float32], deadline: Deadline) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of all channels in blocks, full scale -1 to 1. Each block but the last one fills `buffer`."""
    channels, filled = file.channels, 0
    start = ffi.from_buffer("float[]", buffer)
    while True:
        frames = min(CHUNK_SAMPLES, len(buffer) - filled) // channels
        read = channels * lib.ma_dr_flac_read_pcm_frames_f32(file, frames, start + filled)
        filled += read
        deadline.require_remaining()
        if filled and (filled == len(buffer) or not read):
            yield buffer[:filled]
            filled = 0
        if not read:
            return
