"""Reuse of the embeddings of clips whose mels have not changed since the last extraction into the same feature store.

The same encoder, engine, batch shape and windows give the same bytes, so a clip with the digest of before keeps its
embeddings. Only new and changed clips are computed. An earlier clip takes 32 bytes here: its id is kept as a hash, and
its embeddings are read when they are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.inference.extraction import mean_over_windows
from stores import manifest
from stores.errors import CorruptArtifact, MissingArtifact
from stores.features import FeatureStore
from stores.manifest import ClipRow, ClipRows

_SUFFIX = ".features.zarr"
_OF_CLIPS = ("store_digest", "digest")
"""Keys of the provenance that change with the list of clips."""
_IDENTITY = ("id", "codes_digest", "frames")
"""Columns of a clip that say that its embeddings are those of before."""


@dataclass(frozen=True)
class EarlierClips:
    """The clips of an earlier extraction."""

    hashes: NDArray[np.uint64]
    """`[clips, 2]`, hash of 128 bits of each clip's identity, in ascending order of the first half."""
    starts: NDArray[np.int64]
    """`[clips]`, first row of each clip in the embeddings."""
    ends: NDArray[np.int64]
    """`[clips]`, row after the last one of each clip."""
    embeddings: NDArray[np.float32]
    """`[rows, ...]`, one row for each clip or window."""
    is_averaged: bool
    """True if the mean over the rows of a clip is reused, and False if the rows are."""

    @classmethod
    def of(cls, features: FeatureStore, *, is_averaged: bool) -> EarlierClips:
        """Return the clips of `features` whose codes have a digest, which those of very old stores have not."""
        starts = np.flatnonzero(np.diff(features.spans.clip, prepend=-1))
        ends = np.append(starts[1:], len(features.embeddings))
        hashes = _hashes(features.clips)
        has_digest = np.array([bool(digest) for digest in manifest.values_of(features.clips, "codes_digest")], bool)
        kept = np.flatnonzero(has_digest)
        order = kept[np.argsort(hashes[kept, 0], kind="stable")]
        return cls(hashes[order], starts[order], ends[order], features.embeddings, is_averaged)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the position of each clip here, or -1 if it is another one, `[clips]`."""
        if not len(self.hashes):
            return np.full(len(hashes), -1)
        positions = np.searchsorted(self.hashes[:, 0], hashes[:, 0]).clip(max=len(self.hashes) - 1)
        return np.where((self.hashes[positions] == hashes).all(axis=1), positions, -1)

    def rows(self, position: int) -> NDArray[np.float32]:
        """Return the features of a clip: one row for a clip, or one per window."""
        rows = self.embeddings[self.starts[position] : self.ends[position]]
        return mean_over_windows(rows, [len(rows)]) if self.is_averaged else rows


@dataclass(frozen=True)
class ReusableEmbeddings:
    """The embeddings of earlier extractions."""

    extractions: tuple[EarlierClips, ...]
    """Extractions in the order in which a clip is looked for."""

    @classmethod
    def read(cls, path: Path, provenance: Mapping[str, Any]) -> ReusableEmbeddings:
        """Return the embeddings that an earlier extraction has left, if they were made like those of `provenance`.

        Means over windows are also computed from the windows, if `model.extract --pool none` has left them.

        Args:
            path: path of the features.
            provenance: provenance of the features that are to be computed.
        """
        candidates = [_read(path, provenance, is_averaged=False)]
        if provenance.get("pool") == "mean":
            windows = path.with_name(path.name.replace(_SUFFIX, f"-windows{_SUFFIX}"))
            names = {"pool": "none", "representation": f"{provenance.get('representation')}-windows"}
            candidates.append(_read(windows, {**provenance, **names}, is_averaged=True))
        return cls(tuple(extraction for extraction in candidates if extraction is not None))

    def missing(self, clips: Sequence[ClipRow]) -> Sequence[ClipRow]:
        """Return the clips that have to be computed, in their order."""
        if not self.extractions:
            return clips
        missing = np.flatnonzero(self._find(clips)[:, 1] < 0)
        return clips.take(missing) if isinstance(clips, ClipRows) else [clips[int(i)] for i in missing]

    def splice(
        self, clips: Sequence[ClipRow], computed: NDArray[np.float32] | None, counts: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return the features of clips in their order, `[rows, ...]`.

        Args:
            clips: the clips.
            computed: features of the clips that `missing` returns, one after the other; None if there are none.
            counts: number of rows of each clip.
        """
        parts, start = [], 0
        for (extraction, position), count in zip(self._find(clips), counts, strict=True):
            if position >= 0:
                parts.append(self.extractions[extraction].rows(position))
            else:
                assert computed is not None
                parts.append(computed[start : start + count])
                start += count
        return np.concatenate(parts)

    def _find(self, clips: Sequence[ClipRow]) -> NDArray[np.int64]:
        """Return the extraction and the position in it of each clip, `[clips, 2]`. New clips have a position of -1."""
        places, hashes = np.full((len(clips), 2), -1), _hashes(clips)
        for number, extraction in enumerate(self.extractions):
            is_new = places[:, 1] < 0
            places[is_new, 0], places[is_new, 1] = number, extraction.find(hashes[is_new])
        return places


def _read(path: Path, provenance: Mapping[str, Any], *, is_averaged: bool) -> EarlierClips | None:
    """Return the clips of the features at `path`, or None if there are none that were made like this."""
    try:
        features = FeatureStore.read(path, any_axis=True)
    except (MissingArtifact, CorruptArtifact):
        return None
    is_same = _without_clips(features.provenance) == _without_clips(provenance)
    return EarlierClips.of(features, is_averaged=is_averaged) if is_same else None


def _hashes(clips: Sequence[ClipRow]) -> NDArray[np.uint64]:
    """Return 128 bits of BLAKE2b of the identity of each clip, `[clips, 2]`."""
    identities = zip(*(manifest.values_of(clips, name) for name in _IDENTITY), strict=True)
    digests = (blake2b(repr(identity).encode(), digest_size=16).digest() for identity in identities)
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _without_clips(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key not in _OF_CLIPS}
