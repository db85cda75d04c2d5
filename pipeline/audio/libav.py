"""libav in this process, through PyAV: OGG, whose Vorbis costs it two thirds of libsndfile's time, and Opus.

It is the library inside ffmpeg, without starting a program. Only OGG is given to it, and only as OGG, so no other of
its readers is ever asked; where a stream changes its rate or channels half-way, ffmpeg knows what to do, and is next.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import library_versions
from numpy.typing import NDArray

from pipeline.audio.deadline import Deadline
from stores.errors import DecodeError

FORMAT, MAGIC = "ogg", b"OggS"
CODECS = ("vorbis", "libvorbis", "opus", "libopus", "flac")
"""What people have in OGG; its readers are tested as no others are. OGG can name any codec that there is."""
_ONLY_THIS_FILE = {"format_whitelist": FORMAT, "protocol_whitelist": "none", "codec_whitelist": ",".join(CODECS)}
BLOCK_FRAMES = 64
"""Codec frames joined to a block: one of Vorbis has a thousand samples, too few for a round through NumPy and soxr."""


def serves(head: bytes) -> bool:
    """Whether libav is the better decoder for a file with these first bytes."""
    return head.startswith(MAGIC)


def version() -> str:
    """Version of the library, e.g. `libavcodec 62.11.100`."""
    return "libavcodec " + ".".join(str(part) for part in library_versions["libavcodec"])


class FileDecoder:
    """One file being decoded: iterate over its blocks.

    Args:
        path: the OGG file.
        deadline: when it is given up, looked at between blocks.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self.last_words = ""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Interleaved samples `[T, channels]` float32, full scale -1 to 1, block by block.

        Raises:
            DecodeError: `unreadable`, `no_audio` or `timeout`.
        """
        try:
            with (
                self._path.open("rb") as content,
                av.open(content, format=FORMAT, container_options=_ONLY_THIS_FILE) as container,
            ):
                self._require_known(container)
                for block in _joined(self._frames(container)):
                    yield block
                    self._deadline.require()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError("unreadable", f"{self.name}: {error}") from error

    def _require_known(self, container: Any) -> None:
        if not container.streams.audio:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        codec = container.streams.audio[0].codec_context.name
        if codec not in CODECS:
            raise DecodeError("unreadable", f"{self.name}: {codec} is left to ffmpeg, in a process of its own")

    def _frames(self, container: Any) -> Iterator[NDArray[np.float32]]:
        for frame in container.decode(container.streams.audio[0]):
            found = frame.sample_rate, frame.layout.nb_channels
            if not self.rate_hz:
                self.rate_hz, self.channels = found
            if frame.format.name != "fltp" or found != (self.rate_hz, self.channels):
                raise DecodeError("unreadable", f"{self.name}: {frame.format.name} samples, or a change half-way")
            yield frame.to_ndarray()


def _joined(frames: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Planar frames `[channels, T]`, joined to blocks `[T, channels]`."""
    pending: list[NDArray[np.float32]] = []
    for frame in frames:
        pending.append(frame)
        if len(pending) == BLOCK_FRAMES:
            yield np.concatenate(pending, axis=1).T
            pending = []
    if pending:
        yield np.concatenate(pending, axis=1).T
