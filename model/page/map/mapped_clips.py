"""The clips on a map: an equal share of each split, with their coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.page.map.layout import layout, unit_length
from stores import manifest
from stores.features import FeatureStore
from stores.manifest import ClipRow

MAX_CLIPS = 20_000
"""Dots of a map that are still redrawn at once (tests/benchmarks/bench_map.py)."""
_MARGIN, _MIN_HALF_HEIGHT = 0.08, 0.6
_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class MappedClips:
    """Clips of a feature store in one joint layout, grouped by split."""

    rows: tuple[ClipRow, ...]
    """Clips, with the splits in the order train, valid, test, then others."""
    embeddings: NDArray[np.float32]
    """Embeddings `[clips, D]` of length 1, averaged if a clip has several."""
    coordinates: NDArray[np.float32]
    """Coordinates `[clips, 2]` as `layout` returns them."""
    available: Mapping[str, int]
    """Number of clips in the feature store by split, in order."""

    @classmethod
    def select(cls, features: FeatureStore, max_clips: int = MAX_CLIPS, seed: int = 0) -> MappedClips:
        """Choose clips of a feature store and lay them out.

        Args:
            features: embeddings.
            max_clips: largest number of clips on the map.
            seed: seed of the choice and of the layout.
        """
        splits = manifest.values_of(features.clips, "split")
        chosen = choose(splits, max_clips, seed)
        embeddings = unit_length(_clip_embeddings(features, chosen))
        rows = tuple(features.clips[int(i)] for i in chosen)
        available = {split: splits.count(split) for split in _ordered(splits)}
        return cls(rows, embeddings, layout(embeddings, seed), available)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits, each with a panel of its own."""
        return tuple(self.available)

    @property
    def panel(self) -> NDArray[np.int64]:
        """Index of each clip's split in `splits`, `[clips]`."""
        return np.array([self.splits.index(row.split) for row in self.rows], np.int64)

    @property
    def extent(self) -> tuple[float, float]:
        """Distance from the middle of a panel to its side and to its top, with a margin around all clips."""
        height = float(np.abs(self.coordinates[:, 1]).max())
        return 1 + _MARGIN, max(_MIN_HALF_HEIGHT, height) + _MARGIN

    def shown(self, split: str) -> int:
        """Return the number of clips of a split on the map."""
        return sum(row.split == split for row in self.rows)


def choose(splits: Sequence[str], max_clips: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the indices of an equal number of clips of each split. What a small split leaves goes to the larger ones.

    Args:
        splits: split of each clip.
        max_clips: largest number of clips in all.
        seed: seed of the choice within a split.
    """
    shares = _shares({split: splits.count(split) for split in _ordered(splits)}, max_clips)
    rng = np.random.default_rng(seed)
    chosen = []
    for split, share in shares.items():
        clips = np.flatnonzero(np.array([clip_split == split for clip_split in splits]))
        chosen.append(np.sort(rng.permutation(clips)[:share]))
    return np.concatenate(chosen).astype(np.int64)


def _shares(counts: Mapping[str, int], max_clips: int) -> dict[str, int]:
    shares, remaining = {}, max_clips
    smallest_first = sorted(counts, key=lambda split: counts[split])
    for index, split in enumerate(smallest_first):
        shares[split] = min(counts[split], remaining // (len(counts) - index))
        remaining -= shares[split]
    return {split: shares[split] for split in counts}


def _ordered(splits: Sequence[str]) -> list[str]:
    existing = set(splits)
    return [split for split in _SPLITS if split in existing] + sorted(existing - set(_SPLITS))


def _clip_embeddings(features: FeatureStore, clips: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean embedding of each of these clips `[chosen]`, `[chosen, D]`."""
    starts = np.flatnonzero(np.diff(features.spans.clip, prepend=-1))
    stops = np.append(starts[1:], len(features.spans))
    counts = stops[clips] - starts[clips]
    firsts = np.cumsum(counts) - counts
    rows = np.arange(int(counts.sum())) + np.repeat(starts[clips] - firsts, counts)
    sums: NDArray[np.float32] = np.add.reduceat(features.embeddings[rows], firsts, axis=0)
    means: NDArray[np.float32] = (sums / counts[:, None]).astype(np.float32)
    return means
