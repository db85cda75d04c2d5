"""libsndfile in this process: WAV, FLAC, MP3, AIFF, AU, W64, four times as fast as an ffmpeg for each file; and Vorbis.

What a file is, its first bytes say, never its name. Only containers that libsndfile reads well are given to it: its
readers of rare formats are as little tested as the files are common, and its Opus is slower than a whole ffmpeg.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.deadline import Deadline
from stores.errors import DecodeError

HEAD_BYTES = 64
BLOCK_SAMPLES = 1 << 18
"""Samples of all channels in one block, 1 MiB."""

FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "W64", "FLAC", "OGG", "MPEG", "MP3")
"""What it may find behind those first bytes; behind an ID3 tag could be anything."""


def serves(head: bytes) -> bool:
    """Whether libsndfile is the better decoder for a file with these first bytes (`HEAD_BYTES` or fewer)."""
    return (
        (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")
        or (head[:4] == b"FORM" and head[8:11] == b"AIF")
        or (head[:4] == b"OggS" and b"OpusHead" not in head)
        or head[:4] in (b"fLaC", b".snd", b"riff")  # small letters: W64
        or head[:3] == b"ID3"
        or _is_mpeg_layer_3(head)
    )


def version() -> str:
    """Version of the library, e.g. `libsndfile 1.2.2`."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


class FileDecoder:
    """One file being decoded: iterate over its blocks, then ask for its last words.

    Args:
        path: the audio file.
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
            DecodeError: `unreadable`, or `timeout`.
        """
        try:
            with self._path.open("rb") as content, _Forward(content.fileno(), closefd=False) as file:
                if file.format not in FORMATS:
                    raise DecodeError("unreadable", f"{self.name}: {file.format} is left to ffmpeg")
                self.rate_hz, self.channels = file.samplerate, file.channels
                yield from self._read(file)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise DecodeError("unreadable", f"{self.name}: {error}") from error

    def _read(self, file: soundfile.SoundFile) -> Generator[NDArray[np.float32], None, None]:
        frames, claimed = 0, file.frames
        while len(block := file.read(max(1, BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)):
            yield block
            frames += len(block)
            self._deadline.require()
        if frames != claimed:
            self.last_words = f"the header claims {claimed} samples a channel, {frames} could be decoded"


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # it knows no types
    """A file that is read from its start to its end.

    soundfile seeks to where it is after every read, and at a seek libmpg123 drops the bits that an MP3's next frames
    borrow from those before: 200 samples of noise after each block of low bit rates, up to full scale.
    """

    def seekable(self) -> bool:
        """No; so nobody tries."""
        return False


def _is_mpeg_layer_3(head: bytes) -> bool:
    """Eleven set bits, then a version and the layer; AAC in ADTS has the same start and layer 0."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 == 0x02
