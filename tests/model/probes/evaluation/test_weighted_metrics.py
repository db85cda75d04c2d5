"""Metrics compared with scikit-learn and mir_eval, including equal scores and weights."""

from __future__ import annotations

import mir_eval.key
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from model.probes import musical_keys
from model.probes.evaluation import weighted_metrics
from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.dummy_baselines import chance, majority
from model.probes.evaluation.scoring import (
    ScoredOutputs,
    estimate_metrics,
    metric_names,
    metric_values,
    task_average,
)
from model.probes.task import Task, TaskSplit
from stores import key_names
from stores.errors import InvalidInput

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = [f"{tonic} {mode}" for tonic in TONICS for mode in ("major", "minor")]


def _tags(clips=200, tags=7, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    targets = (rng.random((clips, tags)) < rng.uniform(0.05, 0.6, tags)).astype(np.float64)
    scores = targets * 0.7 + rng.normal(size=targets.shape)
    return (scores.round(1) if ties else scores), targets


@pytest.mark.parametrize("ties", [True, False])
def test_macro_tag_metrics_agree_with_scikit_learn(ties):
    scores, targets = _tags(ties=ties)
    area, precision = weighted_metrics.macro_tags(scores, targets, np.ones((1, 200)))[0]
    assert area == pytest.approx(roc_auc_score(targets, scores, average="macro"), abs=1e-9)
    assert precision == pytest.approx(average_precision_score(targets, scores, average="macro"), abs=1e-9)


def test_weighted_tag_metrics_are_those_of_repeated_clips():
    scores, targets = _tags()
    weights = np.random.default_rng(1).integers(0, 4, (5, 200)).astype(np.float64)
    values = weighted_metrics.macro_tags(scores, targets, weights)
    for row, counts in zip(values, weights.astype(int), strict=True):
        repeated = np.repeat(np.arange(200), counts)
        expected = [metric(targets[repeated], scores[repeated]) for metric in (roc_auc_score, average_precision_score)]
        assert row == pytest.approx(expected, abs=1e-9)


def test_a_tag_of_no_clip_or_of_every_clip_is_left_out_of_the_mean():
    scores, targets = _tags(tags=4)
    targets[:, 1], targets[:, 2] = 0, 1
    area, precision = weighted_metrics.macro_tags(scores, targets, np.ones((1, 200)))[0]
    defined = [0, 3]
    assert area == pytest.approx(roc_auc_score(targets[:, defined], scores[:, defined]), abs=1e-9)
    assert precision == pytest.approx(average_precision_score(targets[:, defined], scores[:, defined]), abs=1e-9)
    assert np.isnan(weighted_metrics.tag_metrics(scores[:, 1], targets[:, 1], np.ones((1, 200)))).all()


def test_weighted_r2_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(125, 2)) + 100
    predictions = targets + rng.normal(size=(125, 2))
    weights = np.concatenate([np.ones((1, 125)), rng.integers(0, 4, (4, 125))]).astype(np.float64)
    for row, weight in zip(weighted_metrics.r2(predictions, targets, weights), weights, strict=True):
        expected = r2_score(targets, predictions, sample_weight=weight, multioutput="raw_values")
        assert row == pytest.approx(expected, abs=1e-9)


def test_r2_of_equal_targets_is_not_defined():
    assert np.isnan(weighted_metrics.r2(np.zeros((4, 1)), np.full((4, 1), 3.0), np.ones((1, 4)))).all()


def test_key_credit_is_that_of_mir_eval_for_all_pairs():
    expected = [[mir_eval.key.weighted_score(true, predicted) for predicted in KEYS] for true in KEYS]
    np.testing.assert_allclose(musical_keys.credit_matrix(KEYS), expected, atol=1e-12)


@pytest.mark.parametrize(("label", "key"), [("F# minor", (6, "minor")), ("c major", (0, "major")), ("C", None),
                                            ("H major", None)])  # fmt: skip
def test_key_labels_are_parsed_and_others_are_not(label, key):
    assert key_names.parse_key(label) == key


def _task(kind, classes, targets, groups=None):
    targets = np.asarray(targets)
    groups = np.arange(len(targets)) if groups is None else groups
    split = TaskSplit(np.zeros((len(targets), 1), np.float32), targets, groups)
    return Task("made", tuple(classes), {"train": split, "valid": split, "test": split}, kind)


def test_key_scores_are_the_means_of_mir_eval():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 24, (2, 300))
    predicted = np.where(rng.random(300) < 0.5, true, predicted)
    task = _task("key", KEYS, true)
    values = metric_values(task, ScoredOutputs(predicted, true, np.arange(300)))
    pairs = zip(true, predicted, strict=True)
    expected = np.mean([mir_eval.key.weighted_score(KEYS[t], KEYS[p]) for t, p in pairs])
    assert values["weighted score"] == pytest.approx(expected, abs=1e-9)
    assert values["accuracy"] == pytest.approx((true == predicted).mean(), abs=1e-9)


def test_replicates_of_tags_and_numbers_spread_as_a_slow_loop_over_resampled_groups():
    scores, targets = _tags(120, 3)
    groups = np.arange(120) // 4
    for kind, metric in (("tags", roc_auc_score), ("numbers", r2_score)):
        task = _task(kind, ("a", "b", "c"), targets.astype(np.float32), groups)
        estimate = next(iter(estimate_metrics(task, ScoredOutputs(scores, targets, groups)).values()))
        rng, slow = np.random.default_rng(5), []
        for _ in range(300):
            clips = (4 * rng.integers(0, 30, 30)[:, None] + np.arange(4)).ravel()
            column = slice(0, 1) if kind == "numbers" else slice(None)
            slow.append(metric(targets[clips, column], scores[clips, column]))
        low, high = np.quantile(estimate.replicates, [0.025, 0.975])
        assert (low, high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.25 * np.ptp(slow) / 4)


def test_the_average_of_a_task_uses_the_metrics_of_the_paper():
    assert task_average("tags", [0.9, 0.4]) == pytest.approx(0.65)
    assert task_average("numbers", [0.7, 0.5]) == pytest.approx(0.6)
    assert task_average("key", [0.7, 0.5]) == 0.7
    assert metric_names(_task("numbers", ("arousal", "valence"), np.zeros((2, 2), np.float32))) == (
        "R² arousal",
        "R² valence",
    )


def test_dummy_baselines_are_the_scores_of_guessing():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 24, 200)
    task, test = _task("key", KEYS, true), ScoredOutputs(true, true, np.arange(200))
    guesses = rng.integers(0, 24, (2000, 200))
    credit = musical_keys.credit_matrix(KEYS)
    assert chance(task, test)["weighted score"] == pytest.approx(credit[true, guesses].mean(), abs=0.003)
    most_frequent = np.bincount(true).argmax()
    assert majority(task, test) == {
        "weighted score": pytest.approx(credit[true, most_frequent].mean()),
        "accuracy": pytest.approx((true == most_frequent).mean()),
    }
    tags = _tags()[1]
    of_tags = chance(_task("tags", "abcdefg", tags.astype(np.float32)), ScoredOutputs(tags, tags, np.arange(200)))
    assert of_tags["ROC-AUC"] == pytest.approx(0.5)
    assert of_tags["average precision"] == pytest.approx(tags.mean())
    numbers = rng.normal(size=(50, 2))
    of_numbers = chance(_task("numbers", "ab", numbers), ScoredOutputs(numbers, numbers, np.arange(50)))
    assert list(of_numbers.values()) == pytest.approx([0, 0], abs=1e-9)


def test_a_metric_that_is_not_defined_is_an_error():
    equal = np.full((4, 2), 3.0)
    message = "task 'made': R² a and R² b cannot be computed, because the labels of the 4 clips do not differ"
    with pytest.raises(InvalidInput, match=message):
        metric_values(_task("numbers", "ab", equal), ScoredOutputs(equal + 1, equal, np.arange(4)))


def test_replicates_without_a_defined_score_are_left_out_of_the_interval():
    assert Interval.of(np.array([np.nan, 1.0, 1.0, np.nan])) == Interval(1.0, 1.0)
