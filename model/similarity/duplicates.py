"""Near-duplicates: pairs of recordings that are the same performance, in another encoding, cut or level.

The embeddings propose pairs, and the fingerprints of the mels decide. Different performances of a piece are neighbors
of each other, and no duplicates.

Axes: C clip, R row of the features, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.similarity.exact import unit_rows
from model.similarity.fingerprints import MIN_AGREEMENT, MIN_OVERLAP_SECONDS, Fingerprint
from stores import mapped_array
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.progress import Progress

NEIGHBORS = 20
"""Nearest clips of each clip that are compared, by the mean of its embeddings."""
WINDOWS = 6
"""Windows of each clip, evenly spaced, whose nearest windows propose pairs too. They find parts of recordings."""
WINDOW_NEIGHBORS = 8
"""Nearest windows of other clips that propose pairs."""
MAX_WINDOW_CLIPS = 2_000
"""Clips up to which windows propose pairs. Above, they would take longer than all other steps."""
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class DuplicatePair:
    """Two clips that are the same recording."""

    first: ClipRow
    """The longer clip."""
    second: ClipRow
    """The shorter clip."""
    agreement: float
    """Agreement of the fingerprints, from `MIN_AGREEMENT` to 1."""
    offset_seconds: float
    """Place in the first clip where the second one begins. Negative if the second one begins earlier."""
    overlap_seconds: float
    """Length that both have."""


def find(features: FeatureStore, store: MelStore, min_agreement: float = MIN_AGREEMENT) -> list[DuplicatePair]:
    """Return all pairs of duplicates, those that agree best first.

    Args:
        features: embeddings of the clips of `store`, one or several for each clip.
        store: mel store of the clips.
        min_agreement: agreement from which two clips are the same recording.
    """
    clips, frame_seconds = features.clips, store.spec.seconds_for(1)
    candidates = propose(features)
    fingerprints: dict[int, Fingerprint] = {}
    pairs = []
    for first, second in Progress(sorted(candidates), desc="compare", unit="pair", disable=None, leave=False):
        if clips[first].frames < clips[second].frames:
            first, second = second, first
        prints = [_fingerprint(clips[clip], store, fingerprints) for clip in (first, second)]
        match = prints[0].align(prints[1], round(MIN_OVERLAP_SECONDS / frame_seconds))
        if match.agreement >= min_agreement:
            seconds = match.offset_frames * frame_seconds, match.overlap_frames * frame_seconds
            pairs.append(DuplicatePair(clips[first], clips[second], match.agreement, *seconds))
    return sorted(pairs, key=lambda pair: (-pair.agreement, pair.first.id, pair.second.id))


def propose(features: FeatureStore) -> set[tuple[int, int]]:
    """Return the pairs of clips that are similar enough to be compared, the smaller position first."""
    means = clip_means(features)
    centered = unit_rows(means - means.mean(axis=0))
    pairs = set(_pairs(centered, np.arange(len(means)), centered, np.arange(len(means)), NEIGHBORS))
    if len(features.rows) > len(means) and len(means) <= MAX_WINDOW_CLIPS:
        windows = unit_rows(features.embeddings - features.embeddings.mean(axis=0))
        chosen = _spread_windows(features.spans.clip)
        clip = features.spans.clip
        pairs |= set(_pairs(windows[chosen], clip[chosen], windows, clip, WINDOW_NEIGHBORS))
    return pairs


def clip_means(features: FeatureStore) -> NDArray[np.float32]:
    """Return the mean of the unit embeddings of each clip, `[C, D]`."""
    units = unit_rows(features.embeddings)
    starts = np.flatnonzero(np.diff(features.spans.clip, prepend=-1))
    if len(starts) == len(units):
        return units  # the mean of one embedding is the embedding
    stops = np.append(starts[1:], len(units))
    means: NDArray[np.float32] = mapped_array.empty((len(starts), units.shape[1]))
    for block in mapped_array.blocks(means):
        first, last = starts[block][0], stops[block][-1]
        sums = np.add.reduceat(units[first:last], starts[block] - first, axis=0)
        means[block] = sums / (stops[block] - starts[block])[:, None]
    return means


def groups(pairs: Sequence[DuplicatePair]) -> list[list[ClipRow]]:
    """Return the clips that are the same recording, in groups, which pairs connect."""
    group_of: dict[str, list[ClipRow]] = {}
    for pair in pairs:
        first, second = (group_of.setdefault(row.id, [row]) for row in (pair.first, pair.second))
        if first is not second:
            first += second
            group_of |= dict.fromkeys((row.id for row in second), first)
    return list({id(group): group for group in group_of.values()}.values())


def _pairs(
    queries: NDArray[np.float32],
    query_clips: NDArray[np.int64],
    references: NDArray[np.float32],
    reference_clips: NDArray[np.int64],
    count: int,
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of clips of each query and its nearest references of other clips."""
    matrix, clips = torch.from_numpy(references), torch.from_numpy(np.array(reference_clips))
    for start in range(0, len(queries), _BLOCK_ROWS):
        own = torch.from_numpy(np.array(query_clips[start : start + _BLOCK_ROWS]))
        cosines = torch.from_numpy(queries[start : start + _BLOCK_ROWS]) @ matrix.T
        cosines = cosines.masked_fill(own[:, None] == clips, -torch.inf)
        values, rows = cosines.topk(min(count, len(matrix)), dim=1)
        for clip, found, kept in zip(own.tolist(), clips[rows].tolist(), values.isfinite().tolist(), strict=True):
            others = {other for other, keep in zip(found, kept, strict=True) if keep}
            yield from ((min(clip, other), max(clip, other)) for other in others)


def _spread_windows(clip: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of a few rows of each clip, evenly spaced, `[n]`."""
    starts = np.flatnonzero(np.diff(clip, prepend=-1))
    counts = np.diff(starts, append=len(clip))
    spread = [
        start + np.unique(np.linspace(0, count - 1, min(WINDOWS, count)).round().astype(np.int64))
        for start, count in zip(starts, counts, strict=True)
    ]
    return np.concatenate(spread)


def _fingerprint(row: ClipRow, store: MelStore, known: dict[int, Fingerprint]) -> Fingerprint:
    if row.index not in known:
        known[row.index] = Fingerprint.of_mel(store.clip(row.index))
    return known[row.index]
