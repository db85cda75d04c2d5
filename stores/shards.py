"""WebDataset shards: tars of records with many frame-major clips each, for training.

    NAME.shards/
      NAME-000000.tar      members NAME-000000-0000.codes.npy   uint8 [frames, n_mels], clips of the record end to end
                                   NAME-000000-0000.clips.npy   int64 [clips, 2], stable index and frames of each
                                   NAME-000000-0000.about.json  ids and frames of the clips, and the quantizer
      index.json           counts, bytes and SHA-256 of every shard, the clips that were left out, the digest of the
                           store, the plan by which clips were shuffled and divided, and a digest of all of these
      parts/               summaries of finished shards, until the set is complete

A member holds many clips, because skipping a member of a tar takes 20 µs, and a clip of 10 s has only 40 kB. Keys
contain no dots, because WebDataset splits a name at the first dot. The `webdataset` package can read the tars without
Myna.
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

from stores import locations, npy, remote_link
from stores.commit import atomic_write, read_bounded, write_json
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

FORMAT_VERSION = 3
MAX_INDEX_BYTES = 1 << 28
"""Largest index that is read. A shard needs about two hundred bytes of it."""
MAX_STORE_CLIPS = 1 << 32
"""Largest number of clips of a store. Objectives with a memory of clips need 4 bytes for each."""
_INDEX = "index.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+\.tar")


@dataclass(frozen=True)
class Record:
    """The clips that are stored and read together as one WebDataset sample."""

    codes: NDArray[np.uint8]
    """Frame-major codes `[frames, n_mels]` of the clips, end to end."""
    indices: NDArray[np.int64]
    """Stable index of each clip `[clips]`."""
    frames: NDArray[np.int64]
    """Frames of each clip `[clips]`. Their sum is the first axis of `codes`."""
    ids: Sequence[str] = ()
    """Id of each clip, which is written for other readers. Records that are read have none."""

    def __post_init__(self) -> None:
        require_consistent(self.indices, self.frames, len(self.codes))


@dataclass(frozen=True)
class ShardSummary:
    """Name, counts and digest of one shard, as the index states them."""

    name: str
    """File name."""
    clips: int
    """Number of clips in the shard."""
    frames: int
    """Number of frames in the shard."""
    size_bytes: int
    """Size of the file in bytes."""
    sha256: str
    """SHA-256 of the file, hex."""

    def __post_init__(self) -> None:
        counts = (self.clips, self.frames, self.size_bytes)
        if not all(type(count) is int and count > 0 for count in counts) or not _NAME.fullmatch(self.name):
            raise ValueError(f"a shard cannot have the name {self.name!r} and {counts} clips, frames and bytes")


@dataclass(frozen=True)
class ShardSet:
    """All shards that were made from one mel store, with the settings that are needed to read them."""

    folder: Path
    """Folder of the shards."""
    shards: tuple[ShardSummary, ...]
    """Summaries of the shards, in order."""
    left_out: dict[str, int]
    """Number of clips of the store that are not in the shards, for each reason."""
    store_digest: str
    """Digest of the store, from `MelStore.shards_digest`."""
    store_clips: int
    """Number of clips in the store, with or without a mel. Every stable index is below this number."""
    spec: MelSpec
    """Mel specification of the clips."""
    quantizer: Quantizer
    """Quantizer of the codes."""
    preprocessing: Mapping[str, Any]
    """Decoders, downmix and resampler of the store, with their versions."""
    plan: Mapping[str, int] = field(default_factory=dict)
    """Seed and sizes by which the clips were shuffled and divided into records and shards."""
    store_name: str = ""
    """Name of the folder of the store, beside which the shards are. It is empty in sets of earlier versions."""

    @property
    def mel_settings(self) -> dict[str, Any]:
        """`mel_spec`, `quantizer` and `preprocessing` of the clips, as JSON values."""
        spec, quantizer = self.spec.to_dict(), self.quantizer.to_dict()
        return {"mel_spec": spec, "quantizer": quantizer, "preprocessing": dict(self.preprocessing)}

    @property
    def clips(self) -> int:
        """Number of clips in all shards."""
        return sum(shard.clips for shard in self.shards)

    @property
    def frames(self) -> int:
        """Number of frames in all shards."""
        return sum(shard.frames for shard in self.shards)

    @property
    def paths(self) -> list[Path]:
        """Paths of the shards, in order."""
        return [self.folder / shard.name for shard in self.shards]

    def write_index(self) -> None:
        """Write the index, without which a folder of tars is not a shard set."""
        shards = [asdict(shard) for shard in self.shards]
        store = {"name": self.store_name, "digest": self.store_digest, "clips": self.store_clips}
        content = {"format_version": FORMAT_VERSION, "store": store, **self.mel_settings, "left_out": self.left_out}
        content |= {"plan": dict(self.plan), "shards": shards}
        write_json(self.folder / _INDEX, {**content, "digest": digest(content)})
        remote_link.publish(self.folder / _INDEX, keep=True)

    @classmethod
    def open(cls, folder: Path, *, complete: bool = True) -> ShardSet:
        """Read the index of a shard set.

        Args:
            folder: folder of the shard set.
            complete: check that every shard exists and has its size.

        Raises:
            MissingArtifact: there is no index.
            CorruptArtifact: the index is damaged or has another version, or a shard is missing or has another size.
        """
        if not (folder / _INDEX).is_file():
            raise MissingArtifact(
                f"no shards at {remote_link.name_of(folder)}; make them with "
                f"`python -m pipeline.shard {remote_link.name_of(locations.store_of_shards(folder))}`"
            )
        try:
            shard_set = cls._from_index(folder, parse_json(read_bounded(folder / _INDEX, MAX_INDEX_BYTES)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # not JSON, or not an index
            raise CorruptArtifact(f"{folder / _INDEX} is damaged: {error!r}; shard again") from error
        sizes = remote_link.sizes_of(folder, [shard.name for shard in shard_set.shards]) if complete else {}
        for shard, path in zip(shard_set.shards, shard_set.paths, strict=True) if complete else ():
            size = sizes[shard.name]
            if size != shard.size_bytes:
                raise CorruptArtifact(f"{path} has {size} bytes, its index says {shard.size_bytes}; shard again")
        return shard_set

    @classmethod
    def _from_index(cls, folder: Path, index: dict[str, Any]) -> ShardSet:
        if index.get("format_version") != FORMAT_VERSION:
            raise CorruptArtifact(
                f"{folder} has format version {index.get('format_version')}, and this version of Myna reads "
                f"{FORMAT_VERSION}; shard again"
            )
        if digest({key: value for key, value in index.items() if key != "digest"}) != index["digest"]:
            raise CorruptArtifact(f"{folder / _INDEX} is damaged: its digest does not match its content; shard again")
        shard_set = cls(
            folder=folder,
            shards=tuple(ShardSummary(**shard) for shard in index["shards"]),
            left_out=dict(index["left_out"]),
            store_digest=str(index["store"]["digest"]),
            store_clips=int(index["store"]["clips"]),
            spec=MelSpec.from_dict(index["mel_spec"]),
            quantizer=Quantizer.from_dict(index["quantizer"]),
            preprocessing=dict(index["preprocessing"]),
            plan=dict(index["plan"]),
            store_name=str(index["store"].get("name", "")),
        )
        shard_set._require_possible()
        return shard_set

    def _require_possible(self) -> None:
        """Check the counts of the index before anything is allocated for them.

        Raises:
            ValueError: a shard has fewer bytes than its frames need, or the store has fewer clips than its shards.
        """
        for shard in self.shards:
            if not shard.clips <= shard.frames <= shard.size_bytes // self.spec.n_mels:
                raise ValueError(f"{shard.name} cannot hold {shard.clips} clips of {shard.frames} frames")
        if not self.clips <= self.store_clips <= MAX_STORE_CLIPS:
            raise ValueError(f"its store cannot have {self.store_clips} clips")


def write_shard(path: Path, records: Sequence[Record], quantizer: Quantizer | None = None) -> ShardSummary:
    """Write `records` atomically as one tar and return its summary. The same records give the same bytes.

    Args:
        path: path of the tar.
        records: the records.
        quantizer: quantizer of the codes (default: that of 8 bits), which is named for other readers.

    Raises:
        InvalidInput: the stem of the file cannot be part of a WebDataset key.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise InvalidInput(f"shard name {path.stem!r} cannot be a key; use letters, digits, '_' and '-'")
    with atomic_write(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, record in enumerate(records):
                key = f"{path.stem}-{number:04d}"
                _add(tar, f"{key}.codes.npy", record.codes)
                _add(tar, f"{key}.clips.npy", np.stack([record.indices, record.frames], axis=1))
                _add_json(tar, f"{key}.about.json", _about(record, quantizer or Quantizer()))
        content = temporary.read_bytes()
    frames = sum(len(record.codes) for record in records)
    clips = sum(len(record.indices) for record in records)
    return ShardSummary(path.name, clips, frames, len(content), hashlib.sha256(content).hexdigest())


def shard_name(folder: Path, number: int) -> str:
    """Return the file name of a shard. Characters that a WebDataset key cannot have become hyphens."""
    return f"{_key_prefix(folder)}-{number:06d}.tar"


def _key_prefix(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", folder.name.removesuffix(".shards"))


def remove_shards(folder: Path, keep: Container[str] = ()) -> None:
    """Remove the shard set in `folder`, but no other files.

    The index is removed first, so that after a kill no index describes shards that do not exist.

    Args:
        folder: folder of the shard set.
        keep: names of shards to keep, so that an unfinished set can be continued.
    """
    remote_link.remove(folder, _INDEX)
    is_link = remote_link.url_of(folder) is not None
    names = remote_link.list_files(folder) if is_link else {path.name for path in folder.glob("*.tar")}
    for name in sorted(names):
        if re.fullmatch(rf"{re.escape(_key_prefix(folder))}-[0-9].*\.tar", name) and name not in keep:
            remote_link.remove(folder, name)


def require_consistent(indices: NDArray[np.int64], frames: NDArray[np.int64], total_frames: int) -> None:
    """Check that the clips of a record, with `indices` `[clips]` and `frames` `[clips]`, fill `total_frames` exactly.

    Raises:
        CorruptArtifact: they do not, or a clip has no frames.
    """
    # a clip longer than the record is rejected first, so that the sum cannot overflow
    if indices.shape != frames.shape or (frames > total_frames).any() or int(frames.sum()) != total_frames:
        raise CorruptArtifact(f"a record has {total_frames} frames, but its {len(indices)} clips claim {frames.sum()}")
    if (frames <= 0).any():
        raise CorruptArtifact(f"a record has clips without frames: {frames.tolist()}")


def decode_record(sample: dict[str, Any]) -> Record:
    """Return the record of a WebDataset sample whose members are undecoded bytes.

    Raises:
        CorruptArtifact: a member is missing or is not a plain array, or the members contradict each other.
    """
    try:
        codes, clips = (_load(sample[name]) for name in ("codes.npy", "clips.npy"))
    except (KeyError, ValueError) as error:
        raise CorruptArtifact(f"record {sample.get('__key__')!r} cannot be decoded: {error}; shard again") from error
    if codes.dtype != np.uint8 or codes.ndim != 2 or clips.dtype != np.int64 or clips.shape[1:] != (2,):
        raise CorruptArtifact(f"record {sample.get('__key__')!r} holds {codes.dtype} {codes.shape}; shard again")
    return Record(codes, clips[:, 0], clips[:, 1])


def _about(record: Record, quantizer: Quantizer) -> dict[str, Any]:
    return {"ids": list(record.ids), "frames": record.frames.tolist(), "quantizer": quantizer.to_dict()}


def _add(tar: tarfile.TarFile, name: str, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    add_member(tar, name, buffer.getvalue())


def _add_json(tar: tarfile.TarFile, name: str, values: Mapping[str, Any]) -> None:
    add_member(tar, name, json.dumps(values, ensure_ascii=False).encode())


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file to a tar, with the same bytes at any time and on any machine."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _load(content: bytes) -> NDArray[Any]:
    npy.read_header(io.BytesIO(content), len(content))
    # np.load would also accept zip files
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array
