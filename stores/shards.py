"""WebDataset shards: tars of records, each record many clips, frame-major, ready to train on.

    NAME.shards/
      NAME-000000.tar      members NAME-000000-0000.codes.npy   uint8 [frames, 128], the record's clips end to end
                                   NAME-000000-0000.clips.npy   int64 [clips, 2], stable index and frames of each
      index.json           counts, bytes and SHA-256 of every shard, what was left out, the store's fingerprint, how
                           clips were shuffled and cut into shards, and a digest of all that
      parts/               facts of finished shards, while the set is being made

Many clips per member, because a tar member costs 20 µs to walk over and a 10 s clip only 40 kB to copy. Keys hold no
dots: WebDataset splits a name at its first one. The tars are readable by the stock `webdataset` package.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import npy
from stores.commit import atomic_write, read_bounded, write_json
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

FORMAT_VERSION = 3
INDEX_BYTES = 1 << 28
"""Largest index that is believed: a tar needs two hundred bytes of it."""
_INDEX = "index.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+\.tar")


@dataclass(frozen=True)
class Record:
    """Clips that are stored and read together."""

    codes: NDArray[np.uint8]
    """Frame-major `[frames, 128]`, the clips end to end."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`; they sum to the first axis of `codes`."""

    def __post_init__(self) -> None:
        require_sound(self.indices, self.frames, len(self.codes))


@dataclass(frozen=True)
class ShardFacts:
    """One tar."""

    name: str
    """File name."""
    clips: int
    """Clips in it."""
    frames: int
    """Frames in it."""
    size_bytes: int
    """File size."""
    sha256: str
    """Of the file."""

    def __post_init__(self) -> None:
        counts = (self.clips, self.frames, self.size_bytes)
        if not all(type(count) is int and count > 0 for count in counts) or not _NAME.fullmatch(self.name):
            raise ValueError(f"no shard has the name {self.name!r} and {counts} clips, frames and bytes")


@dataclass(frozen=True)
class ShardSet:
    """All shards made from one store, and how to read them."""

    folder: Path
    """Where they lie."""
    shards: tuple[ShardFacts, ...]
    """In order."""
    left_out: dict[str, int]
    """Clips of the store that are not here, by reason."""
    store_digest: str
    """`MelStore.digest()` of the store."""
    store_clips: int
    """Clips of the store, written or not: every stable index is below it."""
    spec: MelSpec
    """What the mel is."""
    quantizer: Quantizer
    """What the codes mean."""
    preprocessing: Mapping[str, Any]
    """How the recordings were decoded and resampled."""
    plan: Mapping[str, int] = field(default_factory=dict)
    """How clips were shuffled and cut into records and shards."""

    @property
    def mel_settings(self) -> dict[str, Any]:
        """How the recordings became what is here: `mel_spec`, `quantizer`, `preprocessing`, as JSON values."""
        spec, quantizer = self.spec.to_dict(), self.quantizer.to_dict()
        return {"mel_spec": spec, "quantizer": quantizer, "preprocessing": dict(self.preprocessing)}

    @property
    def clips(self) -> int:
        """Clips in all shards."""
        return sum(shard.clips for shard in self.shards)

    @property
    def frames(self) -> int:
        """Frames in all shards."""
        return sum(shard.frames for shard in self.shards)

    @property
    def paths(self) -> list[Path]:
        """The tars, in order."""
        return [self.folder / shard.name for shard in self.shards]

    def write_index(self) -> None:
        """Make the set visible: without its index a folder of tars is not a shard set."""
        shards = [asdict(shard) for shard in self.shards]
        store = {"digest": self.store_digest, "clips": self.store_clips}
        content = {"format_version": FORMAT_VERSION, "store": store, **self.mel_settings, "left_out": self.left_out}
        content |= {"plan": dict(self.plan), "shards": shards}
        write_json(self.folder / _INDEX, {**content, "digest": digest(content)})

    @classmethod
    def open(cls, folder: Path, *, complete: bool = True) -> ShardSet:
        """Read the index of a shard set.

        Args:
            folder: where it lies.
            complete: check that every tar is there with its size.

        Raises:
            MissingArtifact: no index there.
            CorruptArtifact: an index damaged or of another version, or a tar missing or of another size.
        """
        if not (folder / _INDEX).is_file():
            raise MissingArtifact(
                f"no shards at {folder}; make them with `python -m pipeline.shard {folder.with_suffix('.zarr')}`"
            )
        try:
            found = cls._from_index(folder, json.loads(read_bounded(folder / _INDEX, INDEX_BYTES)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # no JSON, or not ours
            raise CorruptArtifact(f"{folder / _INDEX} is damaged: {error!r}; shard again") from error
        for shard, path in zip(found.shards, found.paths, strict=True) if complete else ():
            size = path.stat().st_size if path.is_file() else -1
            if size != shard.size_bytes:
                raise CorruptArtifact(f"{path} has {size} bytes, its index says {shard.size_bytes}; shard again")
        return found

    @classmethod
    def _from_index(cls, folder: Path, index: dict[str, Any]) -> ShardSet:
        if index.get("format_version") != FORMAT_VERSION:
            raise CorruptArtifact(
                f"{folder} has format {index.get('format_version')}; this version reads {FORMAT_VERSION}"
            )
        if digest({key: value for key, value in index.items() if key != "digest"}) != index["digest"]:
            raise CorruptArtifact(f"{folder / _INDEX} is not what was written; shard again")
        return cls(
            folder=folder,
            shards=tuple(ShardFacts(**shard) for shard in index["shards"]),
            left_out=dict(index["left_out"]),
            store_digest=str(index["store"]["digest"]),
            store_clips=int(index["store"]["clips"]),
            spec=MelSpec.from_dict(index["mel_spec"]),
            quantizer=Quantizer.from_dict(index["quantizer"]),
            preprocessing=dict(index["preprocessing"]),
            plan=dict(index["plan"]),
        )


def write_shard(path: Path, records: Sequence[Record]) -> ShardFacts:
    """Write `records` as one tar, atomically; the same records give the same bytes.

    Raises:
        InvalidInput: if the file's stem cannot be a WebDataset key.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise InvalidInput(f"shard name {path.stem!r} cannot be a key; use letters, digits, '_' and '-'")
    with atomic_write(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, record in enumerate(records):
                key = f"{path.stem}-{number:04d}"
                _add(tar, f"{key}.codes.npy", record.codes)
                _add(tar, f"{key}.clips.npy", np.stack([record.indices, record.frames], axis=1))
        content = temporary.read_bytes()
    frames = sum(len(record.codes) for record in records)
    clips = sum(len(record.indices) for record in records)
    return ShardFacts(path.name, clips, frames, len(content), hashlib.sha256(content).hexdigest())


def remove_shards(folder: Path, keep: Container[str] = ()) -> None:
    """Remove the shard set in `folder`, its index first: a kill leaves no index over other tars. Other files stay.

    Args:
        folder: where it lies.
        keep: names of tars that stay, for a set that is gone on with.
    """
    (folder / _INDEX).unlink(missing_ok=True)
    for path in folder.glob(f"{folder.stem}-[0-9]*.tar"):
        if path.name not in keep:
            path.unlink()


def require_sound(indices: NDArray[np.int64], frames: NDArray[np.int64], total_frames: int) -> None:
    """Check that clips of `frames` `[clips]` lie end to end in `total_frames`, each with an index `[clips]`.

    Raises:
        CorruptArtifact: if they do not.
    """
    # no clip is longer than all together, so their sum cannot overflow
    if indices.shape != frames.shape or (frames > total_frames).any() or int(frames.sum()) != total_frames:
        raise CorruptArtifact(f"a record has {total_frames} frames, but its {len(indices)} clips claim {frames.sum()}")
    if (frames <= 0).any():
        raise CorruptArtifact(f"a record has clips without frames: {frames.tolist()}")


def decode_record(sample: dict[str, Any]) -> Record:
    """The record of one WebDataset sample whose members are undecoded bytes.

    Raises:
        CorruptArtifact: if members are missing, are no plain arrays, or contradict each other.
    """
    try:
        codes, clips = (_load(sample[name]) for name in ("codes.npy", "clips.npy"))
    except (KeyError, ValueError) as error:
        raise CorruptArtifact(f"record {sample.get('__key__')!r} cannot be decoded: {error}; shard again") from error
    if codes.dtype != np.uint8 or codes.ndim != 2 or clips.dtype != np.int64 or clips.shape[1:] != (2,):
        raise CorruptArtifact(f"record {sample.get('__key__')!r} holds {codes.dtype} {codes.shape}; shard again")
    return Record(codes, clips[:, 0], clips[:, 1])


def _add(tar: tarfile.TarFile, name: str, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    member = tarfile.TarInfo(name)
    member.size = buffer.tell()
    buffer.seek(0)
    tar.addfile(member, buffer)


def _load(content: bytes) -> NDArray[Any]:
    npy.read_header(io.BytesIO(content), len(content))
    loaded: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)  # np.load takes zips too
    return loaded
