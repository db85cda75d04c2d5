"""Reuse of the embeddings of clips whose mels have not changed since the last extraction into the same feature store.

The same encoder, engine, batch shape and windows give the same bytes, so a clip with the digest of before keeps its
embeddings. Only new and changed clips are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.inference.extraction import mean_over_windows
from stores.errors import CorruptArtifact, MissingArtifact
from stores.features import FeatureStore
from stores.manifest import ClipRow

_SUFFIX = ".features.zarr"
_OF_CLIPS = ("store_digest", "digest")
"""Keys of the provenance that change with the list of clips."""


@dataclass(frozen=True)
class ReusableEmbeddings:
    """Embeddings of an earlier extraction by clip."""

    by_clip: Mapping[tuple[str, str, int], NDArray[np.float32]]
    """Rows of features of each clip, `[rows, ...]`, by its id, the digest of its codes and its number of frames."""

    @classmethod
    def read(cls, path: Path, provenance: Mapping[str, Any]) -> ReusableEmbeddings:
        """Return the embeddings that an earlier extraction has left, if they were made like those of `provenance`.

        Means over windows are also computed from the windows, if `model.extract --pool none` has left them.

        Args:
            path: path of the features.
            provenance: provenance of the features that are to be computed.
        """
        by_clip = _read(path, provenance)
        if provenance.get("pool") == "mean":
            windows = path.with_name(path.name.replace(_SUFFIX, f"-windows{_SUFFIX}"))
            names = {"pool": "none", "representation": f"{provenance.get('representation')}-windows"}
            for key, rows in _read(windows, {**provenance, **names}).items():
                by_clip.setdefault(key, mean_over_windows(rows, [len(rows)]))
        return cls(by_clip)

    def missing(self, clips: Sequence[ClipRow]) -> Sequence[ClipRow]:
        """Return the clips that have to be computed, in their order."""
        return clips if not self.by_clip else [row for row in clips if _key(row) not in self.by_clip]

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
        for row, count in zip(clips, counts, strict=True):
            if (known := self.by_clip.get(_key(row))) is not None:
                parts.append(known)
            else:
                assert computed is not None
                parts.append(computed[start : start + count])
                start += count
        return np.concatenate(parts)


def _read(path: Path, provenance: Mapping[str, Any]) -> dict[tuple[str, str, int], NDArray[np.float32]]:
    """Return the rows of each clip of the features at `path`, or nothing if they were made otherwise."""
    try:
        features = FeatureStore.read(path, any_axis=True)
    except (MissingArtifact, CorruptArtifact):
        return {}
    if _without_clips(features.provenance) != _without_clips(provenance):
        return {}
    starts = np.flatnonzero(np.diff(features.spans.clip, prepend=-1))
    parts = np.split(features.embeddings, starts[1:])
    return {_key(row): part for row, part in zip(features.clips, parts, strict=True) if row.codes_digest}


def _key(row: ClipRow) -> tuple[str, str, int]:
    return row.id, row.codes_digest, row.frames


def _without_clips(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key not in _OF_CLIPS}
