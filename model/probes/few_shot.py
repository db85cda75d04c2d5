"""Probes with few labels: only some training groups carry one, and the mean over several draws of them is scored.

The probe is `linear`'s logistic regression, in a second a draw. What the paper's probes do with a share of the training
clips is label efficiency, which every score has (`few_clips`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.probes.evaluation.bootstrap import interval
from model.probes.results.scores import TRAINED, Metric, RepresentationScores, Scores, table_of
from model.probes.task import Task
from stores.errors import InvalidInput
from stores.features import FeatureStore


@dataclass(frozen=True)
class FewShot:
    """How many labels, drawn how often."""

    train_groups: int
    """Training groups (pieces, songs) that carry labels."""
    draws: int = 5
    """Draws of them, with the seeds 0, 1, ...; what is scored is the mean, clip by clip."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidInput(f"{self.draws} draws were asked for; at least one is needed")

    def probe(self, task: Task) -> ProbeResult:
        """The mean over all draws; the same groups are drawn whatever the representation.

        Raises:
            InvalidInput: the task has fewer groups, or a draw fewer than two classes.
        """
        drawn = [probe(task.with_train_groups(self.train_groups, seed)) for seed in range(self.draws)]
        return ProbeResult(
            inverse_l2=float(np.median([one.inverse_l2 for one in drawn])),
            valid_accuracy=float(np.mean([one.valid_accuracy for one in drawn])),
            predictions=drawn[0].predictions,
            correct=np.mean([one.correct for one in drawn], axis=0),
        )

    def score(self, task: str, dataset: str, run: str, features: Mapping[str, FeatureStore]) -> Scores:
        """The accuracy of every representation on `task`, with the same few labels.

        Raises:
            InvalidInput: the task's labels are not classes, or it cannot be probed with so few.
        """
        names = sorted(features, key=lambda name: name != TRAINED)
        tasks = {name: Task.of(features[name], task) for name in names}
        if (kind := tasks[TRAINED].kind) not in ("classes", "key"):
            raise InvalidInput(f"--train-groups needs a task of classes; the labels of {task!r} are {kind}")
        results = {name: self.probe(one) for name, one in tasks.items()}
        rows = tuple(_row(name, tasks[name], one, results[TRAINED]) for name, one in results.items())
        how = f"logistic regression; labels for {self.train_groups} training groups, mean of {self.draws} draws of them"
        digests = {name: str(store.provenance["digest"]) for name, store in features.items()}
        return table_of(tasks[TRAINED], (dataset, run), (how, len(INVERSE_L2)), rows, digests)


def _row(name: str, task: Task, result: ProbeResult, trained: ProbeResult) -> RepresentationScores:
    groups = task.splits["test"].groups
    lead = None if result is trained else interval(trained.correct - result.correct, groups)
    return RepresentationScores(
        representation=name,
        width=task.splits["test"].features.shape[1],
        part="",
        config={"inverse_l2": result.inverse_l2},
        vote="",
        valid={"accuracy": result.valid_accuracy},
        metrics={"accuracy": Metric(result.test_accuracy, interval(result.correct, groups), lead)},
    )


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
