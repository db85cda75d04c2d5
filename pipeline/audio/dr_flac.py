"""Decoding of regular FLAC files of 16 bits by dr_flac in this process, through miniaudio.

FLAC is lossless, so the samples are bit for bit those of libsndfile. A clip takes two thirds of the time, because the
wheels of libsndfile copy the samples without optimization. dr_flac leaves out frames with a wrong checksum without a
word, so a file with fewer samples than stated is left to the next decoder.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import miniaudio
import numpy as np
from numpy.typing import NDArray

from pipeline.audio.block_buffer import BLOCK_SAMPLES, borrow
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths.flac_frame import MAGIC
from pipeline.audio.lengths.statement import NO_STATEMENT
from stores.errors import DecodeError

CHUNK_SAMPLES = 1 << 17
"""Samples of all channels that are decoded to integers at a time. They stay in the cache until they are converted."""
BITS, MAX_CHANNELS = 16, 2
_SCALE = np.float32(1 / (1 << (BITS - 1)))


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
        try:
            with closing(miniaudio.flac_stream_file(str(self._path), CHUNK_SAMPLES // channels)) as chunks:
                for block in _join(chunks, self._block_samples, self._deadline):
                    self.rate_hz, self.channels = rate_hz, channels
                    remaining -= len(block) // channels
                    yield block.reshape(-1, channels)
        except (miniaudio.MiniaudioError, OSError, ValueError) as error:  # ValueError: the name is not UTF-8
            raise DecodeError("unreadable", f"{self.name}: {error}") from error
        if remaining:
            self.rate_hz = 0  # the next decoder says what is wrong with the file
            raise DecodeError("unreadable", f"{self.name}: {remaining} samples are missing")


def _join(chunks: Iterator[array[int]], block_samples: int, deadline: Deadline) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of all channels in blocks, full scale -1 to 1, of chunks of integers."""
    with borrow() as buffer:
        filled = 0
        for chunk in chunks:
            np.multiply(np.frombuffer(chunk, np.int16), _SCALE, out=buffer[filled : filled + len(chunk)])
            filled += len(chunk)
            deadline.require_remaining()
            if filled + CHUNK_SAMPLES > block_samples:
                yield buffer[:filled]
                filled = 0
        if filled:
            yield buffer[:filled]
