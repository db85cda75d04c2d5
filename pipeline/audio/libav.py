"""Decoding of OGG by libav in this process, through PyAV. Vorbis takes two thirds of the time of libsndfile.

libav is the library inside ffmpeg, so no program has to be started. It gets only OGG files, and only its OGG demuxer is
enabled, so its other demuxers never see untrusted data. If a stream changes its rate or its channels half-way, this
decoder rejects the file, and ffmpeg decodes it.
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
"""Common codecs in OGG, which are the best tested. OGG files can name any codec, and all others are left to ffmpeg."""
_CONTAINER_OPTIONS = {"format_whitelist": FORMAT, "protocol_whitelist": "none", "codec_whitelist": ",".join(CODECS)}
BLOCK_FRAMES = 64
"""Codec frames that are joined to a block. A Vorbis frame has a thousand samples, too few for one pass of NumPy and
soxr."""


def supports(head: bytes) -> bool:
    """Return whether libav is the better decoder for a file that begins with `head`."""
    return head.startswith(MAGIC)


def version() -> str:
    """Return the version of the library, such as `libavcodec 62.11.100`."""
    return "libavcodec " + ".".join(str(number) for number in library_versions["libavcodec"])


class FileDecoder:
    """The decoder of one OGG file.

    Args:
        path: the OGG file.
        deadline: time limit, which is checked between blocks.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self.messages = ""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks of float32, full scale -1 to 1.

        Raises:
            DecodeError: `unreadable`, `no_audio` or `timeout`.
        """
        try:
            with (
                self._path.open("rb") as content,
                av.open(content, format=FORMAT, container_options=_CONTAINER_OPTIONS) as container,
            ):
                self._require_supported_codec(container)
                for block in _join_frames(self._frames(container)):
                    yield block
                    self._deadline.require_remaining()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError("unreadable", f"{self.name}: {error}") from error

    def _require_supported_codec(self, container: Any) -> None:
        if not container.streams.audio:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        codec = container.streams.audio[0].codec_context.name
        if codec not in CODECS:
            raise DecodeError("unreadable", f"{self.name}: codec {codec} is left to ffmpeg")

    def _frames(self, container: Any) -> Iterator[NDArray[np.float32]]:
        for frame in container.decode(container.streams.audio[0]):
            layout = frame.sample_rate, frame.layout.nb_channels
            if not self.rate_hz:
                self.rate_hz, self.channels = layout
            if frame.format.name != "fltp" or layout != (self.rate_hz, self.channels):
                raise DecodeError(
                    "unreadable", f"{self.name}: samples are {frame.format.name}, or rate or channels change half-way"
                )
            yield frame.to_ndarray()


def _join_frames(frames: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield planar frames `[channels, T]` joined to interleaved blocks `[T, channels]`."""
    pending: list[NDArray[np.float32]] = []
    for frame in frames:
        pending.append(frame)
        if len(pending) == BLOCK_FRAMES:
            yield np.concatenate(pending, axis=1).T
            pending = []
    if pending:
        yield np.concatenate(pending, axis=1).T
