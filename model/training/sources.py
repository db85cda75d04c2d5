"""The shard sets of a run, made from one store or several, whose clips are treated as one collection.

A clip's stable index in the collection is its index in its own store plus the clips of all previous stores. The order
of the stores is therefore part of the definition of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import locations
from stores.digest import digest
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput
from stores.mel_flags import ingest_flags
from stores.quantize import Quantizer
from stores.shards import ShardSet


@dataclass(frozen=True)
class TrainingShards:
    """Shard sets in the order of the command line.

    Raises:
        InvalidInput: there is no shard set, or two of them were made from the same store.
        DigestMismatch: their mels were made with different settings. The error lists each difference.
    """

    sets: tuple[ShardSet, ...]
    """Shard sets, at least one."""

    def __post_init__(self) -> None:
        if not self.sets:
            raise InvalidInput("no store was given; name at least one with --store")
        by_digest: dict[str, ShardSet] = {}
        for shards in self.sets:
            if (earlier := by_digest.setdefault(shards.store_digest, shards)) is not shards:
                raise InvalidInput(
                    f"{earlier.folder} and {shards.folder} hold the same store, so a batch could contain a clip twice; "
                    "give each store once"
                )
            _require_same_mel(self.sets[0], shards)

    @property
    def name(self) -> str:
        """Names of the stores, joined by hyphens."""
        return "-".join(locations.dataset_of(shards.folder) for shards in self.sets)

    @property
    def digest(self) -> str:
        """Digest of the store, or of the list of the stores' digests if there are several stores."""
        digests = [shards.store_digest for shards in self.sets]
        return digests[0] if len(digests) == 1 else digest({"stores": digests})

    @property
    def clips(self) -> int:
        """Number of clips in all shards."""
        return sum(shards.clips for shards in self.sets)

    @property
    def frames(self) -> int:
        """Number of frames in all shards."""
        return sum(shards.frames for shards in self.sets)

    @property
    def samples(self) -> int:
        """Number of clips of all stores, in shards or not, which is larger than every stable index."""
        return sum(shards.store_clips for shards in self.sets)

    @property
    def n_mels(self) -> int:
        """Number of mel bins of a frame."""
        return self.sets[0].spec.n_mels

    @property
    def quantizer(self) -> Quantizer:
        """Quantizer of the codes."""
        return self.sets[0].quantizer

    @property
    def mel_settings(self) -> dict[str, Any]:
        """Settings with which the mels were made: `mel_spec`, `quantizer` and `preprocessing`, as JSON values."""
        return self.sets[0].mel_settings

    def with_first_indices(self) -> Iterator[tuple[ShardSet, int]]:
        """Yield each shard set with the number that is added to the indices of its clips."""
        return zip(self.sets, accumulate((shards.store_clips for shards in self.sets), initial=0), strict=False)


def stable_indices(indices: NDArray[np.int64], shards: ShardSet, first: int) -> NDArray[np.int64]:
    """Return the stable indices `[clips]` in the whole collection of clips with `indices` `[clips]` in one store.

    Args:
        indices: indices of clips in the store of `shards`.
        shards: shard set of that store.
        first: number of clips of all previous stores.

    Raises:
        CorruptArtifact: the store of `shards` has fewer clips than an index requires.
    """
    if len(indices) and not 0 <= indices.min() <= indices.max() < shards.store_clips:
        raise CorruptArtifact(
            f"{shards.folder} holds clips with indices {indices.min()} to {indices.max()}, but its store has "
            f"{shards.store_clips} clips; remove {shards.folder} and run `python -m pipeline.shard` again"
        )
    return indices + first


def _require_same_mel(first: ShardSet, other: ShardSet) -> None:
    expected, actual = first.mel_settings, other.mel_settings
    differences = [
        f"{group}.{key}: {expected[group].get(key)!r} and {actual[group].get(key)!r}"
        for group in expected
        for key in sorted({*expected[group], *actual[group]})
        if expected[group].get(key) != actual[group].get(key)
    ]
    if differences:
        raise DigestMismatch(
            f"{first.folder} and {other.folder} were made with different mel settings (listed below), and mels are "
            "never mixed; ingest the second again, into another --store, with "
            f"{' '.join(ingest_flags(expected['mel_spec']))}:\n" + "\n".join(differences)
        )
