"""Parsing of an AU stream of big-endian float32, as ffmpeg writes it to a pipe, into blocks of samples.

AU states the sample rate and the channels in its first 24 bytes. Unlike RIFF, it needs no sizes that are unknown while
ffmpeg streams.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stores.errors import DecodeError

MAGIC = b".snd"
HEADER_BYTES = 24
FLOAT32 = 6
SAMPLE_BYTES = 4


class AuStream:
    """The blocks of an AU stream. Sample rate and channels are known after the first block.

    Attributes:
        rate_hz: sample rate in Hz, 0 before the first block.
        channels: number of channels, 0 before the first block.
    """

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self.rate_hz, self.channels = 0, 0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield interleaved samples `[T, channels]` in blocks. An empty stream yields nothing.

        Raises:
            DecodeError: `unreadable`, if the stream is not float32 AU.
        """
        pending = next(self._content, b"")
        if len(pending) < HEADER_BYTES:
            pending += b"".join(self._content)  # a short first block is the last one, and reading on raises its cause
        if not pending:
            return
        pending = pending[self._read_header(pending) :]
        for block in _append_empty(self._content):
            whole = len(pending) - len(pending) % (SAMPLE_BYTES * self.channels)
            yield np.frombuffer(pending[:whole], ">f4").reshape(-1, self.channels).astype(np.float32)
            pending = pending[whole:] + block

    def _read_header(self, block: bytes) -> int:
        header = block[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
        offset, _, encoding, self.rate_hz, self.channels = np.frombuffer(header, ">u4", offset=len(MAGIC)).tolist()
        if header[:4] != MAGIC or encoding != FLOAT32 or not self.rate_hz or not self.channels:
            raise DecodeError("unreadable", f"the output of ffmpeg is not a float AU stream: {block[:HEADER_BYTES]!r}")
        return int(offset)


def _append_empty(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the blocks and then an empty one, so that a loop over them also emits the pending bytes."""
    yield from blocks
    yield b""
