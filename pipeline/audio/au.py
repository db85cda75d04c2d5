"""An AU stream of big-endian float32, as ffmpeg writes it to a pipe -> blocks of samples.

AU states rate and channels in its first 24 bytes and, unlike RIFF, no sizes that cannot be known while streaming.
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
    """Blocks of an AU stream; rate and channels are known once the first block came.

    Attributes:
        rate_hz: sample rate, 0 before the first block.
        channels: channels, 0 before the first block.
    """

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self.rate_hz, self.channels = 0, 0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Interleaved samples `[T, channels]`, block by block; none for an empty stream.

        Raises:
            DecodeError: `unreadable`, if the stream is not float32 AU.
        """
        pending = next(self._content, b"")
        if len(pending) < HEADER_BYTES:
            pending += b"".join(self._content)  # nothing follows a short block, except the reason why it is short
        if not pending:
            return
        pending = pending[self._read_header(pending) :]
        for block in _and_nothing(self._content):
            whole = len(pending) - len(pending) % (SAMPLE_BYTES * self.channels)
            yield np.frombuffer(pending[:whole], ">f4").reshape(-1, self.channels).astype(np.float32)
            pending = pending[whole:] + block

    def _read_header(self, block: bytes) -> int:
        header = block[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
        offset, _, encoding, self.rate_hz, self.channels = np.frombuffer(header, ">u4", offset=len(MAGIC)).tolist()
        if header[:4] != MAGIC or encoding != FLOAT32 or not self.rate_hz or not self.channels:
            raise DecodeError("unreadable", f"ffmpeg gave no float AU stream: {block[:HEADER_BYTES]!r}")
        return int(offset)


def _and_nothing(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, then an empty one, so that a loop over them also flushes what is pending."""
    yield from blocks
    yield b""
