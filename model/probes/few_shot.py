"""Few-shot evaluation: a logistic regression that is trained with labels for a few training groups only.

The score is the mean over several random choices of these groups. Each fit takes about a second. This differs from the
label efficiency in every file of scores, which trains the winning probe on larger label subsets (`label_subsets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.probes.evaluation.bootstrap import confidence_interval
from model.probes.results.scores import TRAINED, Metric, RepresentationScores, Scores, build_scores
from model.probes.task import Task
from stores.errors import InvalidInput
from stores.features import FeatureStore

INVERSE_L2 = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Values of scikit-learn's C that are tried, from the strongest penalty to the weakest."""
MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class FewShotResult:
    """Predictions of a logistic regression for the test clips."""

    inverse_l2: float
    """Value of C that was chosen on validation. For several draws, their median."""
    valid_accuracy: float
    """Accuracy on validation, 0 to 1, by which C was chosen. For several draws, their mean."""
    predictions: NDArray[np.int64]
    """Predicted class of each test clip, `[clips]`. For several draws, that of the first one."""
    correct: NDArray[np.float64]
    """1 for each test clip that is classified correctly, else 0, `[clips]`. For several draws, their mean."""

    @property
    def test_accuracy(self) -> float:
        """Share of test clips that are classified correctly, 0 to 1."""
        return float(self.correct.mean())


@dataclass(frozen=True)
class FewShotEvaluation:
    """Settings of a few-shot evaluation."""

    train_groups: int
    """Number of training groups (pieces or songs) with labels."""
    draws: int = 5
    """Number of random choices of these groups, with the seeds 0, 1 and so on. The score is the mean over them."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidInput(f"--draws must be at least 1 (got {self.draws})")

    def evaluate(self, task: Task) -> FewShotResult:
        """Return the mean over all draws. The groups that are drawn do not depend on the representation.

        Raises:
            InvalidInput: the task has too few groups, or the groups of a draw have fewer than two classes.
        """
        results = [fit_and_predict(task.with_train_groups(self.train_groups, seed)) for seed in range(self.draws)]
        return FewShotResult(
            inverse_l2=float(np.median([result.inverse_l2 for result in results])),
            valid_accuracy=float(np.mean([result.valid_accuracy for result in results])),
            predictions=results[0].predictions,
            correct=np.mean([result.correct for result in results], axis=0),
        )

    def score(self, task: str, dataset: str, run: str, features: Mapping[str, FeatureStore]) -> Scores:
        """Return the accuracy of every representation on `task`, with the same few labels.

        Raises:
            InvalidInput: the labels of the task are not classes, or it has too few labels.
        """
        names = sorted(features, key=lambda name: name != TRAINED)
        tasks = {name: Task.of(features[name], task) for name in names}
        if (kind := tasks[TRAINED].kind) not in ("classes", "key"):
            raise InvalidInput(
                f"--train-groups needs a task with classes, and the labels of {task!r} are {kind}; leave it out, or "
                "choose another --task"
            )
        results = {name: self.evaluate(each) for name, each in tasks.items()}
        rows = tuple(_scores_row(name, tasks[name], result, results[TRAINED]) for name, result in results.items())
        method = f"logistic regression; labels for {self.train_groups} training groups, mean of {self.draws} draws"
        digests = {name: str(store.provenance["digest"]) for name, store in features.items()}
        return build_scores(tasks[TRAINED], (dataset, run), (method, len(INVERSE_L2)), rows, digests)


def fit_and_predict(task: Task) -> FewShotResult:
    """Fit a logistic regression for each C, choose one on validation, and predict the test clips.

    The smallest of several equally good values of C is chosen.
    """
    train, valid, test = (task.splits[split] for split in ("train", "valid", "test"))
    models = [_fit(train.features, train.targets, inverse_l2) for inverse_l2 in INVERSE_L2]
    accuracies = [float((model.predict(valid.features) == valid.targets).mean()) for model in models]
    best = int(np.argmax(accuracies))
    predictions = models[best].predict(test.features).astype(np.int64)
    correct = (predictions == test.targets).astype(np.float64)
    return FewShotResult(INVERSE_L2[best], accuracies[best], predictions, correct)


def _fit(features: NDArray[np.float32], targets: NDArray[np.int64], inverse_l2: float) -> Pipeline:
    # in float32, rounding makes lbfgs stop too early
    regression = LogisticRegression(C=inverse_l2, max_iter=MAX_ITERATIONS, tol=1e-3)
    return make_pipeline(StandardScaler(), regression).fit(features.astype(np.float64), targets)


def _scores_row(name: str, task: Task, result: FewShotResult, trained: FewShotResult) -> RepresentationScores:
    groups = task.splits["test"].groups
    difference = None if result is trained else confidence_interval(trained.correct - result.correct, groups)
    return RepresentationScores(
        representation=name,
        width=task.splits["test"].features.shape[1],
        part="",
        config={"inverse_l2": result.inverse_l2},
        vote="",
        valid={"accuracy": result.valid_accuracy},
        metrics={
            "accuracy": Metric(
                result.test_accuracy,
                confidence_interval(result.correct, groups).including(result.test_accuracy),
                difference,
            ),
        },
    )
