"""The linear probe: standardise, multinomial logistic regression, its L2 strength chosen on the validation clips.

The scaler is fitted on train only, the test clips are scored once, by the probe that validation chose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.probes.task import Task

INVERSE_L2 = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class ProbeResult:
    """What the chosen probe does on the test clips."""

    inverse_l2: float
    """scikit-learn's C of the chosen probe."""
    valid_accuracy: float
    """What it was chosen by."""
    predictions: NDArray[np.int64]
    """Its class for each test clip (`[clips]`; of several draws, that of the first)."""
    correct: NDArray[np.float64]
    """1 for each test clip that is right, 0 for others (`[clips]`; of several draws, the share that is right)."""

    @property
    def test_accuracy(self) -> float:
        """Share of test clips that are right."""
        return float(self.correct.mean())


def probe(task: Task) -> ProbeResult:
    """Fit one probe per strength, choose on valid, score on test; the smaller C wins a tie."""
    train, valid, test = (task.splits[split] for split in ("train", "valid", "test"))
    fitted = [_fit(train.features, train.targets, strength) for strength in INVERSE_L2]
    scores = [float((model.predict(valid.features) == valid.targets).mean()) for model in fitted]
    best = int(np.argmax(scores))
    predictions = fitted[best].predict(test.features).astype(np.int64)
    return ProbeResult(INVERSE_L2[best], scores[best], predictions, (predictions == test.targets).astype(np.float64))


def _fit(features: NDArray[np.float32], targets: NDArray[np.int64], inverse_l2: float) -> Pipeline:
    # float64: lbfgs stops early on float32's rounding
    regression = LogisticRegression(C=inverse_l2, max_iter=MAX_ITERATIONS, tol=1e-3)
    return make_pipeline(StandardScaler(), regression).fit(features.astype(np.float64), targets)
