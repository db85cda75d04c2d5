"""One tar of a shard set, read where it lies: its headers are walked once, windows are read one by one.

In: a tar and what the index says of it. Out: where each clip's codes begin, and windows of them. A walk costs about
0.1 ms a record of 50 clips; a window of 96 frames is one read of 12,288 bytes.

Reads, not memory maps: a map reads the neighbourhood of every page it misses, and a file that is cut short kills the
process instead of raising. No file stays open, since a set can have more tars than a process may hold.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stores import npy
from stores.errors import CorruptArtifact
from stores.shards import ShardFacts, require_sound

_BLOCK_BYTES = 512


@dataclass(frozen=True)
class ShardTar:
    """Where the clips of one tar lie."""

    path: Path
    """The tar."""
    state: tuple[int, int, int]
    """Inode, bytes and time of the last change, when it was walked."""
    offsets: NDArray[np.int64]
    """First byte of each clip's codes `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""

    @classmethod
    def walk(cls, path: Path, facts: ShardFacts, n_mels: int) -> ShardTar:
        """Find all clips of the tar at `path`.

        Raises:
            CorruptArtifact: it cannot be read, its records contradict themselves, or `facts` say other than it holds.
        """
        try:
            with path.open("rb") as file:
                state = _state(file)
                found = [_clips(file, codes, clips, n_mels) for codes, clips in _records(file, state[1])]
        except (OSError, ValueError, tarfile.HeaderError, CorruptArtifact) as error:
            raise CorruptArtifact(f"{path} cannot be read: {error}; shard again") from error
        offsets, frames, indices = np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1)
        if (len(frames), frames.sum()) != (facts.clips, facts.frames):
            raise CorruptArtifact(
                f"{path} holds {len(frames)} clips of {frames.sum()} frames, its index says {facts.clips} of "
                f"{facts.frames}; shard again"
            )
        return cls(path, state, offsets, frames, indices)

    def read(self, offsets: Sequence[int], windows: Sequence[NDArray[np.uint8]]) -> None:
        """Fill each of `windows`, of any shape, with the bytes that begin at its offset.

        Raises:
            CorruptArtifact: the tar is not there any more, or not the one that was walked.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                whole = _state(file) == self.state
                for offset, window in zip(offsets, windows, strict=True):
                    file.seek(offset)
                    whole = whole and file.readinto(window.data) == window.nbytes
        except OSError as error:
            raise CorruptArtifact(f"{self.path} cannot be read any more: {error}") from error
        if not whole:
            raise CorruptArtifact(f"{self.path} has changed since the run began; start the same command again")


def _state(file: IO[bytes]) -> tuple[int, int, int]:
    facts = os.fstat(file.fileno())
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _records(file: BinaryIO, size_bytes: int) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarInfo]]:
    """The members of a record, codes and clips, as they follow each other."""
    members = _members(file, size_bytes)
    for codes in members:
        clips, key = next(members, None), codes.name.removesuffix(".codes.npy")
        if clips is None or (codes.name, clips.name) != (f"{key}.codes.npy", f"{key}.clips.npy"):
            raise ValueError(f"member {codes.name!r} is followed by {clips.name if clips else 'nothing'!r}")
        yield codes, clips


def _members(file: BinaryIO, size_bytes: int) -> Iterator[tarfile.TarInfo]:
    """The plain files of a tar; stricter than `tarfile`, which takes a damaged header for the end."""
    place = 0
    while True:
        file.seek(place)
        if not any(header := file.read(_BLOCK_BYTES)):
            return
        member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        member.offset_data = place + _BLOCK_BYTES
        if not member.isreg() or not 0 <= member.size <= size_bytes - member.offset_data:
            raise ValueError(f"member {member.name!r} of {member.size} bytes is no whole file")
        yield member
        place = member.offset_data + -(-member.size // _BLOCK_BYTES) * _BLOCK_BYTES


def _clips(file: BinaryIO, codes: tarfile.TarInfo, clips: tarfile.TarInfo, n_mels: int) -> NDArray[np.int64]:
    """Offsets, frames and stable indices of the clips of a record `[3, clips]`."""
    file.seek(clips.offset_data)
    dtype, shape = npy.read_header(file, clips.size)
    if dtype != np.int64 or shape[1:] != (2,):
        raise ValueError(f"{clips.name} holds {dtype} {shape}")
    table = np.frombuffer(file.read(8 * 2 * shape[0]), np.int64).reshape(shape)
    file.seek(codes.offset_data)
    dtype, shape = npy.read_header(file, codes.size)
    if dtype != np.uint8 or shape[1:] != (n_mels,):
        raise ValueError(f"{codes.name} holds {dtype} {shape}, needed are codes of {n_mels} mel bins")
    indices, frames = table.T
    require_sound(indices, frames, shape[0])
    return np.stack([file.tell() + n_mels * (np.cumsum(frames) - frames), frames, indices])
