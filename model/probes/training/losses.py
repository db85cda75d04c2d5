"""Losses of batched probes: the gradient by the outputs, and the validation score that stops and selects probes.

classes  softmax, cross entropy; mean credit of the predictions (accuracy, or the weighted score of keys). Where a
         recording has several clips, this is the score of songs, by the best of four aggregations
tags     sigmoids, binary cross entropy; macro ROC-AUC
numbers  outputs as they are, squared error; mean R^2 of all columns

As in JukeMIR, losses are means over clips, and for tags and numbers also over columns. Axes: P probe, B clip, C output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.probes import song_aggregation

Gradient = Callable[[Tensor, Tensor], Tensor]
"""Function from outputs `[P, B, C]` and targets `[B, C]` to the gradient of each probe's loss, `[P, B, C]`."""
Score = Callable[[Tensor], Tensor]
"""Function from outputs `[P, B, C]` for all validation clips to a score of each probe `[P]`. Higher is better."""


def class_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of the cross entropy of a softmax, `[P, B, C]`.

    Args:
        outputs: outputs before the softmax, `[P, B, C]`.
        targets: one-hot targets, `[B, C]`.
    """
    return outputs.softmax(-1).sub_(targets).div_(outputs.shape[-2])


def tag_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of the binary cross entropy of sigmoids, `[P, B, C]`.

    Args:
        outputs: outputs before the sigmoids, `[P, B, C]`.
        targets: targets 0 or 1, `[B, C]`.
    """
    return outputs.sigmoid().sub_(targets).div_(outputs.shape[-2] * outputs.shape[-1])


def regression_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of the squared error, `[P, B, C]`.

    Args:
        outputs: predicted numbers, `[P, B, C]`.
        targets: true numbers, `[B, C]`.
    """
    return (outputs - targets).mul_(2 / (outputs.shape[-2] * outputs.shape[-1]))


GRADIENTS: dict[str, Gradient] = {"classes": class_gradient, "tags": tag_gradient, "numbers": regression_gradient}


@dataclass(frozen=True)
class ClassScore:
    """Mean credit of the predicted classes. For songs, that of the aggregation with the highest mean."""

    credit: Tensor
    """Credit for each predicted class, `[clips, C]`, or `[songs, C]` if songs are scored."""
    songs: Tensor | None
    """Song of each validation clip, numbered from 0. None if clips are scored."""
    ranks: Tensor | None = None
    """Place of each class `[C]`, which decides votes that tie. None means the order of the outputs."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return the score `[P]` of outputs `[P, clips, C]`, which is NaN where outputs are not finite."""
        if self.songs is None:
            scores = self._mean_credit(outputs.argmax(-1))
        else:
            predictions = song_aggregation.song_predictions(outputs, self.songs, len(self.credit), self.ranks)
            scores = torch.stack([self._mean_credit(songs) for songs in predictions.values()]).amax(0)
        return torch.where(outputs.isfinite().all(-1).all(-1), scores, torch.nan)

    def _mean_credit(self, predictions: Tensor) -> Tensor:
        rows = torch.arange(len(self.credit), device=predictions.device)
        return self.credit[rows, predictions].double().mean(-1)


@dataclass(frozen=True)
class TagScore:
    """Macro ROC-AUC over the tags that some but not all validation clips have.

    Outputs that differ at most in the last bit of their float32 count as ties, which are decided in favor of the clip
    with the tag. Scores that are reported are computed exactly, by `metrics`.
    """

    targets: Tensor
    """Targets 0 or 1, `[clips, C]`."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return the score `[P]` of outputs `[P, clips, C]`, which is NaN where outputs are not finite."""
        sortable = outputs.mT.contiguous().view(torch.int32)
        sortable ^= (sortable >> 31) & 0x7FFFFFFF  # now the integers are in the order of the floats
        sortable &= -2
        sortable |= self.targets.mT.to(torch.int32)  # the last bit holds the target
        sorted_targets = _sorted(sortable) & 1
        clips, positives = sortable.shape[-1], sorted_targets.sum(-1).double()
        ranks = torch.arange(1, clips + 1, dtype=torch.float64, device=sortable.device)
        # Mann-Whitney U: the number of pairs in which the clip with the tag has the larger output
        pairs = sorted_targets.double() @ ranks - positives * (positives + 1) / 2
        area = pairs / (positives * (clips - positives))
        return torch.where(outputs.isfinite().all(-1).all(-1), area.nanmean(-1), torch.nan)


@dataclass(frozen=True)
class RegressionScore:
    """Mean R^2 of the columns."""

    targets: Tensor
    """True numbers, `[clips, C]`."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return the score `[P]` of outputs `[P, clips, C]`."""
        residual = (outputs - self.targets).double().square().sum(-2)
        total = (self.targets - self.targets.mean(0)).double().square().sum(0)
        return (1 - residual / total).mean(-1)


def _sorted(values: Tensor) -> Tensor:
    if values.device.type != "cpu":
        return values.sort(dim=-1).values
    sorted_: NDArray[np.int32] = np.sort(values.numpy(), axis=-1)  # with AVX-512, 25 times as fast as torch.sort
    return torch.from_numpy(sorted_)
