"""The shard sets of a run, of one store or several, whose clips are trained on as one collection.

A clip's stable index is its own plus the clips of all stores before, so the order of stores is part of what a run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.digest import digest
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput
from stores.quantize import Quantizer
from stores.shards import ShardSet


@dataclass(frozen=True)
class TrainingShards:
    """Shard sets in the order they were given.

    Raises:
        InvalidInput: there is none, or one stands there twice.
        DigestMismatch: they hold mel of different settings; names each that differs.
    """

    sets: tuple[ShardSet, ...]
    """At least one."""

    def __post_init__(self) -> None:
        if not self.sets:
            raise InvalidInput("no store was given; name at least one with --store")
        seen: dict[str, ShardSet] = {}
        for shards in self.sets:
            if (same := seen.setdefault(shards.store_digest, shards)) is not shards:
                raise InvalidInput(
                    f"{same.folder} and {shards.folder} hold the same store; a batch would hold its clips twice"
                )
            _require_same_mel(self.sets[0], shards)

    @property
    def name(self) -> str:
        """The stores' names, joined."""
        return "-".join(shards.folder.stem for shards in self.sets)

    @property
    def digest(self) -> str:
        """The store's digest; of several, a digest of theirs in order."""
        digests = [shards.store_digest for shards in self.sets]
        return digests[0] if len(digests) == 1 else digest({"stores": digests})

    @property
    def clips(self) -> int:
        """Clips in all shards."""
        return sum(shards.clips for shards in self.sets)

    @property
    def frames(self) -> int:
        """Frames in all shards."""
        return sum(shards.frames for shards in self.sets)

    @property
    def samples(self) -> int:
        """Clips of all stores, in shards or not: every stable index is below it."""
        return sum(shards.store_clips for shards in self.sets)

    @property
    def n_mels(self) -> int:
        """Mel bins of a frame."""
        return self.sets[0].spec.n_mels

    @property
    def quantizer(self) -> Quantizer:
        """What the codes mean."""
        return self.sets[0].quantizer

    @property
    def mel_settings(self) -> dict[str, Any]:
        """How the recordings became what is here: `mel_spec`, `quantizer`, `preprocessing`, as JSON values."""
        return self.sets[0].mel_settings

    def with_first_indices(self) -> Iterator[tuple[ShardSet, int]]:
        """Each set, and what is added to the indices of its clips."""
        return zip(self.sets, accumulate((shards.store_clips for shards in self.sets), initial=0), strict=False)


def stable_indices(indices: NDArray[np.int64], shards: ShardSet, first: int) -> NDArray[np.int64]:
    """Indices `[clips]` among all stores of clips with `indices` `[clips]` of one.

    Raises:
        CorruptArtifact: if the store of `shards` has not so many clips.
    """
    if len(indices) and not 0 <= indices.min() <= indices.max() < shards.store_clips:
        raise CorruptArtifact(
            f"{shards.folder} holds clips {indices.min()} to {indices.max()} of a store of {shards.store_clips}; "
            f"remove {shards.folder} and run `python -m pipeline.shard` again"
        )
    return indices + first


def _require_same_mel(first: ShardSet, other: ShardSet) -> None:
    ours, theirs = first.mel_settings, other.mel_settings
    differing = [
        f"{part}.{key}: {ours[part].get(key)!r} and {theirs[part].get(key)!r}"
        for part in ours
        for key in sorted({*ours[part], *theirs[part]})
        if ours[part].get(key) != theirs[part].get(key)
    ]
    if differing:
        raise DigestMismatch(
            f"{first.folder} and {other.folder} hold different mel and must not be mixed; ingest one of them again:\n"
            + "\n".join(differing)
        )
