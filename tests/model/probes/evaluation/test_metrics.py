"""Metrics against scikit-learn and mir_eval, ties and weights included."""

from __future__ import annotations

import mir_eval.key
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from model.probes import musical_keys
from model.probes.evaluation import metrics
from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.dummy_baselines import chance, majority
from model.probes.evaluation.scoring import ScoredOutputs, average, estimate_metrics, metric_names, point
from model.probes.task import Task, TaskSplit
from stores.errors import InvalidInput

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = [f"{tonic} {mode}" for tonic in TONICS for mode in ("major", "minor")]


def _tags(clips=200, tags=7, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    targets = (rng.random((clips, tags)) < rng.uniform(0.05, 0.6, tags)).astype(np.float64)
    scores = targets * 0.7 + rng.normal(size=targets.shape)
    return (scores.round(1) if ties else scores), targets


@pytest.mark.parametrize("ties", [True, False])
def test_macro_tag_metrics_are_scikit_learns(ties):
    scores, targets = _tags(ties=ties)
    found = metrics.macro_tags(scores, targets, np.ones((1, 200)))[0]
    assert found[0] == pytest.approx(roc_auc_score(targets, scores, average="macro"), abs=1e-9)
    assert found[1] == pytest.approx(average_precision_score(targets, scores, average="macro"), abs=1e-9)


def test_weighted_tag_metrics_are_those_of_clips_that_come_so_often():
    scores, targets = _tags()
    weights = np.random.default_rng(1).integers(0, 4, (5, 200)).astype(np.float64)
    found = metrics.macro_tags(scores, targets, weights)
    for row, often in zip(found, weights.astype(int), strict=True):
        repeated = np.repeat(np.arange(200), often)
        expected = [metric(targets[repeated], scores[repeated]) for metric in (roc_auc_score, average_precision_score)]
        assert row == pytest.approx(expected, abs=1e-9)


def test_a_tag_that_no_clip_or_every_clip_carries_is_left_out_of_the_mean():
    scores, targets = _tags(tags=4)
    targets[:, 1], targets[:, 2] = 0, 1
    found = metrics.macro_tags(scores, targets, np.ones((1, 200)))[0]
    left = [0, 3]
    assert found[0] == pytest.approx(roc_auc_score(targets[:, left], scores[:, left]), abs=1e-9)
    assert found[1] == pytest.approx(average_precision_score(targets[:, left], scores[:, left]), abs=1e-9)
    assert np.isnan(metrics.tag_metrics(scores[:, 1], targets[:, 1], np.ones((1, 200)))).all()


def test_r2_is_scikit_learns_with_weights():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(125, 2)) + 100
    predictions = targets + rng.normal(size=(125, 2))
    weights = np.concatenate([np.ones((1, 125)), rng.integers(0, 4, (4, 125))]).astype(np.float64)
    for row, weight in zip(metrics.r2(predictions, targets, weights), weights, strict=True):
        expected = r2_score(targets, predictions, sample_weight=weight, multioutput="raw_values")
        assert row == pytest.approx(expected, abs=1e-9)


def test_r2_of_targets_that_are_all_alike_is_not_defined():
    assert np.isnan(metrics.r2(np.zeros((4, 1)), np.full((4, 1), 3.0), np.ones((1, 4)))).all()


def test_key_credit_is_mir_evals_for_all_pairs():
    expected = [[mir_eval.key.weighted_score(true, said) for said in KEYS] for true in KEYS]
    np.testing.assert_allclose(musical_keys.credit(KEYS), expected, atol=1e-12)


@pytest.mark.parametrize(("label", "parsed"), [("F# minor", (6, "minor")), ("c major", (0, "major")), ("C", None),
                                               ("H major", None), ("C  major", None), ("C major ", None)])  # fmt: skip
def test_keys_are_read_as_people_write_them(label, parsed):
    assert musical_keys.parsed(label) == parsed


def _task(kind, classes, targets, groups=None):
    targets = np.asarray(targets)
    groups = np.arange(len(targets)) if groups is None else groups
    part = TaskSplit(np.zeros((len(targets), 1), np.float32), targets, groups)
    return Task("made", tuple(classes), {"train": part, "valid": part, "test": part}, kind)


def test_key_scores_are_means_of_mir_evals():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 24, (2, 300))
    said = np.where(rng.random(300) < 0.5, true, said)
    task = _task("key", KEYS, true)
    found = point(task, ScoredOutputs(said, true, np.arange(300)))
    expected = np.mean([mir_eval.key.weighted_score(KEYS[t], KEYS[s]) for t, s in zip(true, said, strict=True)])
    assert found["weighted score"] == pytest.approx(expected, abs=1e-9)
    assert found["accuracy"] == pytest.approx((true == said).mean(), abs=1e-9)


def test_draws_of_tags_and_numbers_are_those_of_groups_drawn_anew():
    """Against a slow loop: the spread over draws is that of clips put together group by group."""
    scores, targets = _tags(120, 3)
    groups = np.arange(120) // 4
    for kind, metric in (("tags", roc_auc_score), ("numbers", r2_score)):
        task = _task(kind, ("a", "b", "c"), targets.astype(np.float32), groups)
        found = next(iter(estimate_metrics(task, ScoredOutputs(scores, targets, groups)).values()))
        rng, slow = np.random.default_rng(5), []
        for _ in range(300):
            clips = (4 * rng.integers(0, 30, 30)[:, None] + np.arange(4)).ravel()
            column = slice(0, 1) if kind == "numbers" else slice(None)
            slow.append(metric(targets[clips, column], scores[clips, column]))
        low, high = np.quantile(found.draws, [0.025, 0.975])
        assert (low, high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.25 * np.ptp(slow) / 4)


def test_the_average_of_a_task_takes_the_metrics_that_the_paper_takes():
    assert average("tags", [0.9, 0.4]) == pytest.approx(0.65)
    assert average("numbers", [0.7, 0.5]) == pytest.approx(0.6)
    assert average("key", [0.7, 0.5]) == 0.7
    assert metric_names(_task("numbers", ("arousal", "valence"), np.zeros((2, 2), np.float32))) == (
        "R² arousal",
        "R² valence",
    )


def test_guesses_are_what_guessing_scores():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 24, 200)
    task, test = _task("key", KEYS, true), ScoredOutputs(true, true, np.arange(200))
    drawn = rng.integers(0, 24, (2000, 200))
    credit = musical_keys.credit(KEYS)
    assert chance(task, test)["weighted score"] == pytest.approx(credit[true, drawn].mean(), abs=0.003)
    most = np.bincount(true).argmax()
    assert majority(task, test) == {
        "weighted score": pytest.approx(credit[true, most].mean()),
        "accuracy": pytest.approx((true == most).mean()),
    }
    tags = _tags()[1]
    of_tags = chance(_task("tags", "abcdefg", tags.astype(np.float32)), ScoredOutputs(tags, tags, np.arange(200)))
    assert of_tags["ROC-AUC"] == pytest.approx(0.5)
    assert of_tags["average precision"] == pytest.approx(tags.mean())
    numbers = rng.normal(size=(50, 2))
    of_numbers = chance(_task("numbers", "ab", numbers), ScoredOutputs(numbers, numbers, np.arange(50)))
    assert list(of_numbers.values()) == pytest.approx([0, 0], abs=1e-9)


def test_a_metric_that_the_clips_do_not_define_is_refused():
    alike = np.full((4, 2), 3.0)
    with pytest.raises(InvalidInput, match="task 'made' has no R² a or R² b on 4 clips whose labels do not differ"):
        point(_task("numbers", "ab", alike), ScoredOutputs(alike + 1, alike, np.arange(4)))


def test_draws_that_define_no_score_are_left_out_of_the_interval():
    assert Interval.of(np.array([np.nan, 1.0, 1.0, np.nan])) == Interval(1.0, 1.0)
