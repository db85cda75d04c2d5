"""What the outputs of stacked probes mean: the gradient of their loss, and the score that stops and chooses them.

classes  softmax, cross entropy; the mean credit of the predictions (accuracy, or the weighted score of keys), of songs
         by the best of four votes where a recording has several clips
tags     sigmoids, binary cross entropy; macro ROC-AUC
numbers  themselves, squared error; the mean R^2 of all columns
Losses are means over clips and, for tags and numbers, over columns, as in JukeMIR. Axes: P probe, B clip, C output.
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
"""From outputs `[P, B, C]` and targets `[B, C]` to the gradient of each probe's own loss."""
Score = Callable[[Tensor], Tensor]
"""From the outputs `[P, B, C]` for all validation clips to a score `[P]`, the more the better."""


def class_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of the cross entropy of a softmax: `[P, B, C]` from outputs `[P, B, C]` and targets that are one-hot."""
    return outputs.softmax(-1).sub_(targets).div_(outputs.shape[-2])


def tag_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of the binary cross entropy of sigmoids: `[P, B, C]` from outputs `[P, B, C]` and targets 0 or 1."""
    return outputs.sigmoid().sub_(targets).div_(outputs.shape[-2] * outputs.shape[-1])


def number_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of the squared error: `[P, B, C]` from outputs `[P, B, C]` and targets in the same unit."""
    return (outputs - targets).mul_(2 / (outputs.shape[-2] * outputs.shape[-1]))


GRADIENTS: dict[str, Gradient] = {"classes": class_gradient, "tags": tag_gradient, "numbers": number_gradient}


@dataclass(frozen=True)
class ClassScore:
    """Mean credit of the predictions; of songs, by the vote that gives the most."""

    credit: Tensor
    """`[clips, C]`: what each prediction is worth for each validation clip; `[songs, C]` where songs are scored."""
    songs: Tensor | None
    """Song of each validation clip, numbered from 0; None where clips are scored."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Score `[P]` of outputs `[P, clips, C]`; one without finite outputs gets NaN."""
        if self.songs is None:
            found = self._mean(outputs.argmax(-1))
        else:
            predicted = song_aggregation.song_predictions(outputs, self.songs, len(self.credit))
            found = torch.stack([self._mean(one) for one in predicted.values()]).amax(0)
        return torch.where(outputs.isfinite().all(-1).all(-1), found, torch.nan)

    def _mean(self, predictions: Tensor) -> Tensor:
        every = torch.arange(len(self.credit), device=predictions.device)
        return self.credit[every, predictions].double().mean(-1)


@dataclass(frozen=True)
class TagScore:
    """Macro ROC-AUC over the tags that some validation clips carry and some do not.

    Scores that agree in all but the last bit of their float32 count as ties that the clip with the tag wins; scores
    that are reported are computed exactly, by `metrics`.
    """

    targets: Tensor
    """`[clips, C]`, 0 or 1."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Score `[P]` of outputs `[P, clips, C]`."""
        keys = outputs.mT.contiguous().view(torch.int32)
        keys ^= (keys >> 31) & 0x7FFFFFFF  # the integers stand in the order of the floats
        keys &= -2
        keys |= self.targets.mT.to(torch.int32)  # the label travels in the last bit
        carried = _sorted(keys) & 1
        clips, positives = keys.shape[-1], carried.sum(-1).double()
        places = torch.arange(1, clips + 1, dtype=torch.float64, device=keys.device)
        above = carried.double() @ places - positives * (positives + 1) / 2
        area = above / (positives * (clips - positives))
        return torch.where(outputs.isfinite().all(-1).all(-1), area.nanmean(-1), torch.nan)


@dataclass(frozen=True)
class NumberScore:
    """Mean R^2 of the columns."""

    targets: Tensor
    """`[clips, C]`."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Score `[P]` of outputs `[P, clips, C]`."""
        wrong = (outputs - self.targets).double().square().sum(-2)
        spread = (self.targets - self.targets.mean(0)).double().square().sum(0)
        return (1 - wrong / spread).mean(-1)


def _sorted(keys: Tensor) -> Tensor:
    if keys.device.type != "cpu":
        return keys.sort(dim=-1).values
    sorted_: NDArray[np.int32] = np.sort(keys.numpy(), axis=-1)  # by AVX-512: in a 25th of torch.sort's time
    return torch.from_numpy(sorted_)
