"""The distance of embeddings to those that a probe was trained on, which tells whether its answers mean anything.

A probe answers with a high probability even for music that is unlike everything it was trained on. The file of a probe
therefore holds up to `MAX_CLIPS` training embeddings. The distance of an embedding is the Euclidean distance to the
nearest of them, after standardization, and its percentile is the share of validation clips that are nearer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.probes.feature_moments import mean_and_deviation

MAX_CLIPS = 256
"""Largest number of training embeddings in the file of a probe: 0.8 MB for a width of 768."""
QUANTILES = 101
PREFIX = "reference."
"""Prefix of the names of the tensors in the file of a probe."""
UNLIKE = "unlike all training clips"
_BLOCK_CLIPS = 4096


@dataclass(frozen=True)
class TrainingReference:
    """Training embeddings of a probe, and the distances of its validation clips to them."""

    mean: Tensor
    """Mean of each feature over the training clips, `[D]`."""
    deviation: Tensor
    """Standard deviation of each feature over the training clips, positive, `[D]`."""
    embeddings: Tensor
    """Standardized training embeddings, evenly spread over the training clips, `[clips, D]`."""
    quantiles: Tensor
    """Percentiles 0 to 100 of the distances of the validation clips, `[101]`."""

    @classmethod
    def of(cls, train: NDArray[np.float32], valid: NDArray[np.float32]) -> TrainingReference:
        """Return the reference of a probe, from the features `[clips, D]` of its training and validation clips."""
        mean, deviation = mean_and_deviation(torch.from_numpy(train))
        deviation = deviation.clamp(min=1e-6)
        chosen = np.unique(np.linspace(0, len(train) - 1, MAX_CLIPS).round().astype(int))
        standardized = ((torch.from_numpy(train[chosen]).double() - mean) / deviation).float()
        reference = cls(mean.float(), deviation.float(), standardized, torch.zeros(QUANTILES))
        quantiles = np.quantile(reference.distances(valid), np.linspace(0, 1, QUANTILES))
        return cls(reference.mean, reference.deviation, standardized, torch.from_numpy(quantiles).float())

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distance of each row of `[clips, D]` to the nearest training embedding, `[clips]`."""
        blocks = torch.split(torch.from_numpy(np.asarray(features, np.float32)), _BLOCK_CLIPS)
        nearest = [torch.cdist((block - self.mean) / self.deviation, self.embeddings).amin(dim=1) for block in blocks]
        distances: NDArray[np.float32] = torch.cat(nearest).numpy()
        return distances

    def columns(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.float64] | list[str]]:
        """Return the columns `distance_percentile` (0 to 100) and `remark` of predictions, one per clip.

        The remark says that a clip is farther from the training clips than every validation clip; else it is empty.
        """
        distances, quantiles = self.distances(features), self.quantiles.numpy()
        percentiles = np.interp(distances, quantiles, np.linspace(0, 100, QUANTILES))
        return {
            "distance_percentile": percentiles.astype(np.float64),
            "remark": [UNLIKE if distance > quantiles[-1] else "" for distance in distances],
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors for the file of a probe by their names in it, each with the shape of its field."""
        return {f"{PREFIX}{name}": tensor for name, tensor in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], width: int) -> TrainingReference | None:
        """Return the reference in the tensors of a file, of any shape, or None if it has none, as in earlier versions.

        Raises:
            ValueError: the tensors do not fit together, or to features of `width` columns.
        """
        named = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
        if not named:
            return None
        if set(named) != {"mean", "deviation", "embeddings", "quantiles"}:
            raise ValueError(f"its training reference has the tensors {', '.join(sorted(named))[:80]}")
        reference = cls(**named)
        shapes = {"mean": (width,), "deviation": (width,), "quantiles": (QUANTILES,)}
        if any(named[name].shape != shape for name, shape in shapes.items()):
            raise ValueError("its training reference does not fit its features")
        count = len(reference.embeddings) if reference.embeddings.ndim == 2 else 0
        if not 1 <= count <= MAX_CLIPS or reference.embeddings.shape[1] != width:
            raise ValueError(f"its training embeddings have the shape {tuple(reference.embeddings.shape)}")
        if any(tensor.dtype != torch.float32 or not tensor.isfinite().all() for tensor in named.values()):
            raise ValueError("its training reference is not float32, or not finite")
        if not (reference.deviation > 0).all() or not (reference.quantiles.diff() >= 0).all():
            raise ValueError("its training reference has a deviation of 0, or distances that are not in order")
        return reference
