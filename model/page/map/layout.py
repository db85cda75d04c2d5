"""Coordinates of embeddings on the plane by t-SNE, in one layout for all of them.

A layout of 3,000 clips with 192 values takes 12 s on one core (0.3 s for 300). Of more clips, 3,000 are laid out, and
the others are placed between them. The same embeddings give the same coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

MAX_LANDMARKS = 3_000
"""Clips that t-SNE lays out. Further clips are placed between their nearest landmarks, which takes a second."""
PLACED_BY = 5
"""Nearest landmarks whose weighted mean is the place of a further clip."""
MAX_HEIGHT = 1.4
"""Height of a map in widths."""
_PERPLEXITY = 30.0
_PLACE_TEMPERATURE = 0.03  # the nearest landmarks decide
_BLOCK_CLIPS = 1_024


def unit_length(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return embeddings `[clips, D]` scaled to length 1, so that dot products are cosines. Zeros stay zeros."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (embeddings / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def layout(embeddings: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Return coordinates `[clips, 2]` of embeddings `[clips, D]` by t-SNE (van der Maaten and Hinton 2008).

    Both axes have the same scale. The first axis reaches from -1 to 1, and the second one at least as far but at most
    to `MAX_HEIGHT`, because panels stand side by side, or on a phone, where there is more room vertically. Axes of
    t-SNE have no meaning.
    """
    if len(embeddings) < 2 or not np.ptp(embeddings, axis=0).any():
        return np.zeros((len(embeddings), 2), np.float32)
    landmarks = np.sort(np.random.default_rng(seed).permutation(len(embeddings))[:MAX_LANDMARKS])
    points = _tsne(embeddings[landmarks], seed)
    if len(landmarks) < len(embeddings):
        points = _place(unit_length(embeddings), landmarks, points)
    points = points[:, np.argsort(np.ptp(points, axis=0), kind="stable")]
    halves = np.ptp(points, axis=0) / 2
    scale = max(halves[0], halves[1] / MAX_HEIGHT) or 1.0
    coordinates: NDArray[np.float32] = ((points - (points.min(axis=0) + halves)) / scale).astype(np.float32)
    return coordinates


def _tsne(embeddings: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    start = "pca" if min(embeddings.shape) > 1 else "random"
    points: NDArray[np.float32] = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(
        embeddings.astype(np.float64)
    )
    return points


def _place(
    units: NDArray[np.float32], landmarks: NDArray[np.int64], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return points `[clips, 2]` of all clips, from those of the landmarks, by the cosines to the nearest of them."""
    placed = np.empty((len(units), 2), np.float32)
    for start in range(0, len(units), _BLOCK_CLIPS):
        cosines = units[start : start + _BLOCK_CLIPS] @ units[landmarks].T
        nearest = np.argpartition(-cosines, PLACED_BY, axis=1)[:, :PLACED_BY]
        values = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        weights = np.exp((values - values.max(axis=1, keepdims=True)) / _PLACE_TEMPERATURE)
        weights /= weights.sum(axis=1, keepdims=True)
        placed[start : start + _BLOCK_CLIPS] = (weights[..., None] * points[nearest]).sum(axis=1)
    placed[landmarks] = points
    return placed
