"""Classification of recordings by album from a few labeled recordings of each album, cross-validated by recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DRAWS = 20
"""Number of random choices of the labeled recordings."""
MIN_TESTED = 2
"""Smallest number of recordings that an album must have besides the labeled ones. A smaller album is left out."""
INVERSE_L2 = 1.0
"""Penalty of the logistic regression, scikit-learn's C, which is the same for every representation."""
MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class AlbumAccuracy:
    """The share of draws in which each recording was assigned to its album."""

    recordings: NDArray[np.int64]
    """Positions of the recordings that were tested, `[N]`."""
    correct: NDArray[np.float64]
    """Share of correct predictions of each of these recordings, `[N]`."""
    weights: NDArray[np.float64]
    """Weight of each recording, with which all albums count equally, `[N]`."""


def classify(
    features: NDArray[np.float32],
    recordings: NDArray[np.int64],
    albums: NDArray[np.int64],
    labeled: int,
    draws: int = DRAWS,
) -> AlbumAccuracy | None:
    """Train a logistic regression on the passages of few recordings and predict the album of all others.

    The prediction for a recording is the class with the highest mean log-probability over its passages. The draws
    depend only on the recordings, so all representations get the same ones.

    Args:
        features: one row for each passage, `[passages, D]`.
        recordings: number of the recording of each passage, from 0, `[passages]`.
        albums: number of the album of each recording, `[recordings]`.
        labeled: number of labeled recordings of each album.
        draws: number of random choices of the labeled recordings, with the seeds 0, 1 and so on.

    Returns:
        The accuracies, or None if fewer than two albums have enough recordings.
    """
    sizes = np.bincount(albums)
    usable = np.flatnonzero(sizes >= labeled + MIN_TESTED)
    if len(usable) < 2:
        return None
    right, tested = np.zeros(len(albums)), np.zeros(len(albums))
    for seed in range(draws):
        chosen = _draw(albums, usable, labeled, seed)
        others = np.setdiff1d(np.flatnonzero(np.isin(albums, usable)), chosen)
        right[others] += _predict(features, recordings, albums, chosen, others) == albums[others]
        tested[others] += 1
    positions = np.flatnonzero(tested)
    counts = np.bincount(albums[positions], minlength=len(sizes))
    return AlbumAccuracy(positions, right[positions] / tested[positions], 1 / counts[albums[positions]])


def _draw(
    albums: NDArray[np.int64], usable: Sequence[int] | NDArray[np.int64], count: int, seed: int
) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(albums == album), count, replace=False) for album in usable])


def _predict(
    features: NDArray[np.float32],
    recordings: NDArray[np.int64],
    albums: NDArray[np.int64],
    chosen: NDArray[np.int64],
    others: NDArray[np.int64],
) -> NDArray[np.int64]:
    train = np.isin(recordings, chosen)
    regression = LogisticRegression(C=INVERSE_L2, class_weight="balanced", max_iter=MAX_ITERATIONS)
    classifier = make_pipeline(StandardScaler(), regression)
    classifier.fit(features[train], albums[recordings[train]])
    log_probabilities = classifier.predict_log_proba(features)
    means = np.stack([log_probabilities[recordings == recording].mean(axis=0) for recording in others])
    predicted: NDArray[np.int64] = classifier.classes_[means.argmax(axis=1)]
    return predicted
