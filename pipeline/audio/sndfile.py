"""Decoding of WAV, FLAC, MP3, AIFF, AU, W64 and Vorbis by libsndfile in this process.

It is four times as fast as one ffmpeg process per file. The first bytes of a file determine its format, and its name is
ignored. libsndfile gets only formats that it decodes well. Its decoders for rare formats are little tested, and its
Opus decoder is slower than an ffmpeg process.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.block_buffer import BLOCK_SAMPLES, borrow
from pipeline.audio.deadline import Deadline
from pipeline.audio.lengths.statement import NO_STATEMENT
from pipeline.audio.native_output import NativeOutput
from stores.errors import DecodeError

HEAD_BYTES = 64

FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "W64", "FLAC", "OGG", "MPEG", "MP3")
"""Formats that libsndfile may report for a supported file. Any format can follow an ID3 tag."""


def supports(head: bytes) -> bool:
    """Return whether libsndfile is the better decoder for a file that begins with `head` (at most `HEAD_BYTES`)."""
    return (
        (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")
        or (head[:4] == b"FORM" and head[8:11] == b"AIF")
        or (head[:4] == b"OggS" and b"OpusHead" not in head)
        or head[:4] in (b"fLaC", b".snd", b"riff")  # lower case: W64
        or head[:3] == b"ID3"
        or _is_mpeg_layer_3(head)
    )


def version() -> str:
    """Return the version of the library, such as `libsndfile 1.2.2`."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


class FileDecoder:
    """The decoder of one file. Its `messages` are complete when all blocks have been read.

    Args:
        path: the audio file.
        deadline: time limit, which is checked between blocks.
        block_samples: samples of all channels in a block (default: `BLOCK_SAMPLES`).
    """

    is_exhaustive = False
    statement = NO_STATEMENT

    def __init__(self, path: Path, deadline: Deadline, block_samples: int | None = None) -> None:
        self._path = path
        self._deadline = deadline
        self._block_samples = block_samples or BLOCK_SAMPLES
        self._output = NativeOutput()
        self.name = version()
        self.rate_hz, self.channels = 0, 0
        self.measures_peak = self.stores_floats = False

    @property
    def messages(self) -> str:
        """Text that the library has printed by itself."""
        return self._output.text()

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield interleaved samples `[T, channels]` in blocks of float32, full scale -1 to 1.

        A block is valid until the next one is asked for.

        Raises:
            DecodeError: `unreadable` or `timeout`.
        """
        try:
            with self._path.open("rb") as content, self._open(content) as file, borrow() as buffer:
                if file.format not in FORMATS:
                    raise DecodeError("unreadable", f"{self.name}: {file.format} is left to ffmpeg")
                self.rate_hz, self.channels = file.samplerate, file.channels
                self.measures_peak = self.stores_floats = file.subtype in FLOAT_SUBTYPES
                frames = max(1, min(self._block_samples, len(buffer)) // file.channels)
                space = buffer[: frames * file.channels].reshape(frames, file.channels)
                while len(block := self._read(file, space)):
                    yield block
                    self._deadline.require_remaining()
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise DecodeError("unreadable", f"{self.name}: {error}") from error

    def _open(self, content: BinaryIO) -> _ForwardSoundFile:
        with self._output.capture():
            return _ForwardSoundFile(content.fileno(), closefd=False)

    def _read(self, file: soundfile.SoundFile, space: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read the next samples into `space` `[T, channels]`, and return the part that is filled."""
        with self._output.capture():
            block: NDArray[np.float32] = file.read(dtype="float32", always_2d=True, out=space)
        return block


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no type hints
    """A file that is read from its start to its end without a seek.

    After every read, soundfile seeks to its current position. At a seek, libmpg123 drops the bits that the next frames
    of an MP3 borrow from earlier frames. At low bit rates, this gives 200 samples of noise after each block, up to full
    scale.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False


def _is_mpeg_layer_3(head: bytes) -> bool:
    """Return whether `head` is eleven set bits and layer 3. AAC in ADTS begins with the same bits and layer 0."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 == 0x02
