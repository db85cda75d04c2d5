"""Calibration of probabilities by temperature scaling (Guo et al. 2017), and the expected calibration error.

The outputs of a probe are divided by one number, the temperature, before softmax or sigmoid. It is the number with
which the validation clips are most likely. The error is measured on the test clips, which have not chosen it.
Predictions do not change, because the order of the outputs does not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from model.probes.task import Task

BINS = 15
"""Bins of equal width of the expected calibration error."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 100.0
"""Range of temperatures. A probe that is always right on validation has the lowest one."""


def calibration(task: Task, outputs: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the temperature that validation chooses, and the calibration errors on test before and after it.

    Args:
        task: the task.
        outputs: outputs of the probe before softmax or sigmoid, `[clips, C]`, for the splits `valid` and `test`.

    Returns:
        `temperature`, `error_before`, `error_after` and `clips`; nothing for a task of numbers.
    """
    if task.kind == "numbers":
        return {}
    temperature = fit_temperature(outputs["valid"], task.splits["valid"].targets, task.kind)
    test, targets = outputs["test"], task.splits["test"].targets
    before, after = (calibration_error(_probabilities(test / t, task.kind), targets) for t in (1.0, temperature))
    return {"temperature": temperature, "error_before": before, "error_after": after, "clips": float(len(test))}


def fit_temperature(outputs: NDArray[np.float32], targets: NDArray[Any], kind: str) -> float:
    """Return the temperature with which the targets are most likely.

    Args:
        outputs: outputs before softmax or sigmoid, `[clips, C]`.
        targets: class of each clip, `[clips]`, or its tags, `[clips, C]`.
        kind: kind of the task.
    """
    tensor, labels = torch.from_numpy(outputs).double(), torch.from_numpy(np.asarray(targets))

    def loss(log_temperature: float) -> float:
        """Return the cross-entropy of the outputs divided by the temperature."""
        scaled = tensor / math.exp(log_temperature)
        if kind == "tags":
            return float(torch.nn.functional.binary_cross_entropy_with_logits(scaled, labels.double()))
        return float(torch.nn.functional.cross_entropy(scaled, labels.long()))

    bounds = (math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE))
    return round(math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x), 4)


def calibration_error(probabilities: NDArray[np.float64], targets: NDArray[Any], bins: int = BINS) -> float:
    """Return the expected calibration error: the mean distance between confidence and share of correct predictions.

    Args:
        probabilities: probabilities of classes or tags, `[clips, C]`.
        targets: class of each clip, `[clips]`, for which the confidence is the largest probability; or its tags,
            `[clips, C]`, for which every probability counts.
        bins: bins of equal width.
    """
    if np.ndim(targets) == 2:
        confidence, correct = probabilities.ravel(), np.asarray(targets, np.float64).ravel()
    else:
        confidence, correct = probabilities.max(axis=1), (probabilities.argmax(axis=1) == targets).astype(np.float64)
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    sums = [np.bincount(bin_of, weights=each, minlength=bins) for each in (confidence, correct)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(confidence))


def _probabilities(outputs: NDArray[np.float32], kind: str) -> NDArray[np.float64]:
    tensor = torch.from_numpy(outputs).double()
    probabilities: NDArray[np.float64] = (tensor.sigmoid() if kind == "tags" else tensor.softmax(dim=1)).numpy()
    return probabilities
