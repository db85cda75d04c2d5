"""Decoding of Ogg, and of irregular MP3 and FLAC files, by libav in this process, through PyAV.

libav is the library inside ffmpeg, so no program has to be started, and it decodes what ffmpeg decodes. Vorbis takes
two thirds of the time of libsndfile. MP3 and FLAC come here if libsndfile would stop early: files that were joined,
headers with a wrong length, bytes that are not audio. Only the demuxers of these three formats are enabled, so the
others never see untrusted data. The sample rate and the channels of each frame are its own, so they may change inside a
file. ffmpeg stops at the end of the first of several chained Ogg streams if the next one differs. Here, each one is
opened by itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av import library_versions
from numpy.typing import NDArray

from pipeline.audio.block_buffer import BLOCK_SAMPLES, borrow
from pipeline.audio.byte_range import ByteRange
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths import mpeg_frame
from pipeline.audio.lengths.statement import NO_STATEMENT, Statement
from stores.errors import DecodeError

OGG_MAGIC = b"OggS"
CODECS = {
    "ogg": ("vorbis", "libvorbis", "opus", "libopus", "flac"),
    "flac": ("flac",),
    "mp3": ("mp3", "mp3float"),
}
"""Common codecs of each format, which are the best tested. OGG files can name any codec, and all others are left to
ffmpeg.
"""
STATED_TOLERANCE_SECONDS = 0.05
"""Difference between the length in an intact Ogg file's last page and its audio: Opus counts its delay of 6.5 ms."""
MAX_PAGE_SECONDS = 60
"""Longest first page of an Ogg stream that starts at 0. A page holds 64 KiB, so it is reached below 9 kbit/s only."""
PIECE_SAMPLES = 1 << 13
"""Samples of a channel that a queue of libav joins at a time: 64 KiB of stereo, which stay in the cache."""
_FULL_SCALE = {"s16": 1 << 15, "s16p": 1 << 15, "s32": 1 << 31, "s32p": 1 << 31, "flt": 1, "fltp": 1}


class Layout(NamedTuple):
    """The layout of a frame. Frames of the same layout can be joined."""

    rate_hz: int
    """Sample rate in Hz."""
    channels: int
    """Number of channels."""
    sample_format: str
    """Name of the sample format in libav."""


def supports(head: bytes) -> bool:
    """Return whether libav decodes a file that begins with `head`. For Ogg it is the better decoder."""
    return head.startswith((OGG_MAGIC, b"fLaC", b"ID3")) or mpeg_frame.parse(head[:4]) is not None


def version() -> str:
    """Return the version of the library, such as `libavcodec 62.11.100`."""
    return "libavcodec " + ".".join(str(number) for number in library_versions["libavcodec"])


class FileDecoder:
    """The decoder of one file.

    Args:
        path: the file.
        deadline: time limit, which is checked at every read.
        statement: what the file states of its length, with the parts that are decoded one after another.
        block_samples: samples of all channels in a block (default: `BLOCK_SAMPLES`).
    """

    is_exhaustive = True
    measures_peak = stores_floats = False

    def __init__(
        self, path: Path, deadline: Deadline, statement: Statement = NO_STATEMENT, block_samples: int | None = None
    ) -> None:
        self._path = path
        self._deadline = deadline
        self._block_samples = block_samples or BLOCK_SAMPLES
        self._links, self._granules = statement.links, statement.granules
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self._stated_seconds, self._damaged_packets = 0.0, 0
        self._failed_links: list[DecodeError] = []

    @property
    def messages(self) -> str:
        """Messages about packets and parts that could not be decoded."""
        packets = f"{self.name}: {self._damaged_packets} packets could not be read" if self._damaged_packets else ""
        return "; ".join(filter(None, [packets, *(error.detail for error in self._failed_links)]))

    @property
    def statement(self) -> Statement:
        """The length of an Ogg file, from the positions of its first and its last sample."""
        return Statement(self._stated_seconds, STATED_TOLERANCE_SECONDS, "the last page states")

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks of float32, full scale -1 to 1.

        A block is valid until the next one is asked for.

        Raises:
            DecodeError: `unreadable`, `no_audio` or `timeout`.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                for number, (start, stop) in enumerate(self._links or ((0, self._path.stat().st_size),)):
                    content = ByteRange(file, start, stop, self._deadline.require_remaining)
                    yield from self._try_link(content, self._granules[number] if self._granules else (0, 0))
        except OSError as error:
            raise DecodeError("unreadable", f"{self.name}: {error}") from error
        if not self.rate_hz and self._failed_links:
            raise self._failed_links[0]

    def _try_link(self, content: ByteRange, granules: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks of one part of the file. A part that cannot be decoded costs no other part."""
        try:
            yield from self._link_blocks(content, granules)
        except (av.FFmpegError, ValueError) as error:
            self._failed_links.append(DecodeError("unreadable", f"{self.name}: {error}"))
        except DecodeError as error:
            if error.reason not in ("unreadable", "no_audio"):
                raise
            self._failed_links.append(error)

    def _link_blocks(self, content: ByteRange, granules: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        name = _format_name(content.read(4))
        content.seek(0)
        options = {"format_whitelist": name, "protocol_whitelist": "none", "codec_whitelist": ",".join(CODECS[name])}
        with av.open(content, format=name, container_options=options) as container, borrow() as buffer:
            stream = self._stream(container, name)
            if name == "ogg":
                self._stated_seconds += float(self._stated_samples(stream, *granules) * stream.time_base)
            for layout, block in _join(self._frames(container, stream, name), buffer[: self._block_samples]):
                self.rate_hz, self.channels = layout.rate_hz, layout.channels
                yield block
                self._deadline.require_remaining()

    def _stated_samples(self, stream: Any, first_granule: int, last_granule: int) -> int:
        """Return the number of samples between the start of an Ogg stream and its last page.

        A stream that was cut from another one does not start at 0. libav knows where it starts, unless it had to leave
        out the first page.
        """
        start = stream.start_time or 0
        if 0 < first_granule <= start:
            self._damaged_packets += 1
            start = 0 if first_granule * stream.time_base < MAX_PAGE_SECONDS else first_granule
        return int(max(0, last_granule - start) if last_granule else stream.duration or 0)

    def _stream(self, container: Any, name: str) -> Any:
        if not container.streams.audio:
            raise DecodeError("no_audio", f"{self.name}: no audio stream")
        stream = container.streams.audio[0]
        if stream.codec_context.name not in CODECS[name]:
            raise DecodeError("unreadable", f"{self.name}: codec {stream.codec_context.name} is left to ffmpeg")
        return stream

    def _frames(self, container: Any, stream: Any, name: str) -> Iterator[Any]:
        """Yield the frames of all packets. A packet that cannot be decoded is left out, as ffmpeg does."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.EOFError):
                return
            except av.FFmpegError:  # the demuxer cannot go on
                self._damaged_packets += 1
                return
            try:
                yield from packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                self._damaged_packets += name != "mp3"  # in MP3, also a tag between joined files is such a packet


def _format_name(magic: bytes) -> str:
    if magic == OGG_MAGIC:
        return "ogg"
    if magic == b"fLaC":
        return "flac"
    if mpeg_frame.parse(magic) is None:
        raise DecodeError("unreadable", f"{version()}: a file that begins with {magic!r} is left to ffmpeg")
    return "mp3"


def _join(frames: Iterator[Any], buffer: NDArray[np.float32]) -> Iterator[tuple[Layout, NDArray[np.float32]]]:
    """Yield the layout of frames, and frames of the same layout joined to blocks `[T, channels]` in `buffer`.

    A queue of libav joins them to pieces first. A Vorbis frame has a thousand samples or fewer, and to join them in
    Python took a quarter of the time of decoding them. The queue does not compare the numbers of channels itself.
    """
    joined = _JoinedFrames(Layout(0, 0, ""), buffer)
    for frame in frames:
        properties = frame.sample_rate, frame.layout.nb_channels, frame.format.name
        if properties != joined.layout:
            yield from joined.take(is_end=True)
            joined = _JoinedFrames(Layout(*properties), buffer)
        frame.pts = None  # the queue would reject a gap in the times
        joined.queue.write(frame)
        if joined.queue.samples >= joined.piece_samples:
            yield from joined.take(is_end=False)
    yield from joined.take(is_end=True)


class _JoinedFrames:
    """Frames of one layout: the last ones in a queue, and those before them in `buffer`, one channel after another.

    Attributes:
        piece_samples: samples of a channel that are moved from the queue at a time.
    """

    def __init__(self, layout: Layout, buffer: NDArray[np.float32]) -> None:
        self.layout, self.queue = layout, av.AudioFifo()
        channels = max(1, layout.channels)
        self._channels = buffer[: len(buffer) // channels * channels].reshape(channels, -1)
        self.piece_samples = max(1, min(PIECE_SAMPLES, self._channels.shape[1]))
        self._filled = 0

    def take(self, is_end: bool) -> Iterator[tuple[Layout, NDArray[np.float32]]]:
        """Empty the queue, and yield a block if the buffer is full. At the end, yield the last block too."""
        while (frame := self.queue.read(self.piece_samples, partial=is_end)) is not None:
            if self._filled + frame.samples > self._channels.shape[1]:
                yield self._block()
            stop = self._filled + frame.samples
            _copy(frame, self.layout, self._channels[:, self._filled : stop])
            self._filled = stop
        if is_end and self._filled:
            yield self._block()

    def _block(self) -> tuple[Layout, NDArray[np.float32]]:
        block = self._channels[:, : self._filled].T
        self._filled = 0
        return self.layout, block


def _copy(frame: Any, layout: Layout, channels: NDArray[np.float32]) -> None:
    """Write the samples of a frame into `channels` `[channels, T]`, float32 with full scale 1."""
    if layout.sample_format not in _FULL_SCALE:
        raise DecodeError("unreadable", f"{version()}: samples in {layout.sample_format} are left to ffmpeg")
    if layout.sample_format == "fltp":
        for channel, plane in zip(channels, frame.planes, strict=True):
            channel[:] = np.frombuffer(plane, np.float32, frame.samples)
        return
    samples = frame.to_ndarray()
    planar = samples if frame.format.is_planar else samples.reshape(-1, layout.channels).T
    np.divide(planar, np.float32(_FULL_SCALE[layout.sample_format]), out=channels, casting="same_kind")
