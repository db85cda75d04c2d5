"""Scores: every representation, the dummy baselines, paired differences, and the text table."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny

from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.scoring import estimate_metrics, mean_estimate, scored_outputs
from model.probes.results.scores import TRAINED, Scores, score_representations
from model.probes.results.text_table import table
from model.probes.task import Task
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact


def _score(**features):
    named = {name.replace("_", "-"): store for name, store in features.items()}
    return score_representations("key", "made", "run", named, tiny.grid(patience=30))


def _random_features(store, digest="d"):
    embeddings = np.random.default_rng(1).normal(size=(90, 7)).astype(np.float32)
    return tiny.FeatureStore(embeddings, store.rows, {"digest": digest})


@pytest.fixture(scope="module")
def scores():
    """A trained representation with separable classes, and a baseline of random features for the same clips."""
    separable = tiny.separable(90, noise=0.05, digest="good")
    return _score(mean_log_mel=_random_features(separable, "bad"), trained=separable)


def test_the_trained_representation_is_first_in_any_order_of_the_input(scores):
    assert [row.representation for row in scores.rows] == [TRAINED, "mean-log-mel"]
    assert [row.width for row in scores.rows] == [4, 7]


def test_the_paired_difference_is_trained_minus_other(scores):
    trained, random = scores.rows
    assert trained.main.value == 1.0
    assert trained.main.lead is None
    assert 0 < random.main.lead.low < trained.main.value - random.main.value < random.main.lead.high <= 1


def test_the_paired_difference_is_negative_if_the_trained_representation_is_worse():
    separable = tiny.separable(90, noise=0.05)
    difference = _score(trained=_random_features(separable), untrained=separable).rows[1].main.lead
    assert -1 <= difference.low < difference.high < 0


def test_the_paired_difference_of_equal_features_is_zero():
    separable = tiny.separable(90, noise=0.6)
    difference = _score(trained=separable, untrained=separable).rows[1].main.lead
    assert (difference.low, difference.high) == (0, 0)


def test_chance_depends_on_the_classes_and_majority_predicts_the_most_frequent_training_class():
    splits = ["train"] * 6 + ["valid"] * 3 + ["test"] * 4
    labels = ["a", "a", "a", "b", "b", "c", "a", "b", "c", "b", "b", "b", "a"]
    features = tiny.features(np.random.default_rng(0).normal(size=(13, 2)), labels, splits)
    scores = _score(trained=features)
    assert scores.chance == {"accuracy": pytest.approx(1 / 3)}
    assert scores.majority == {"accuracy": 0.25}  # "a" is most frequent in train, and one of four test clips is "a"
    assert scores.classes == ("a", "b", "c")
    assert scores.clips == {"train": 6, "valid": 3, "test": 4}
    assert scores.test_groups == 4


def test_the_groups_of_the_test_clips_are_counted(scores):
    assert scores.test_groups == 15  # 30 test clips, two a group


def test_the_digests_of_the_features_are_stored(scores):
    assert scores.provenance == {"trained": "good", "mean-log-mel": "bad"}


def test_scores_are_read_as_they_were_written(scores, tmp_path):
    scores.write(tmp_path / "deep" / "made.key.json")
    assert Scores.read(tmp_path / "deep" / "made.key.json") == scores


def test_missing_scores_are_an_error_that_names_the_command(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no scores at .*python -m model\.probe"):
        Scores.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"rows": [{}]}', '{"format_version": 2, "rows": [{}]}', '{"format_version": 1}']
)
def test_a_file_without_scores_is_an_error(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(CorruptArtifact, match="does not hold scores of this version"):
        Scores.read(tmp_path / "s.json")


def test_scores_with_unknown_keys_are_an_error(scores, tmp_path):
    scores.write(tmp_path / "s.json")
    content = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps({**content, "more": 1}))
    with pytest.raises(CorruptArtifact, match="more"):
        Scores.read(tmp_path / "s.json")


def test_a_task_without_labels_is_an_error():
    with pytest.raises(InvalidInput, match="task 'genre'"):
        score_representations("genre", "made", "run", {TRAINED: tiny.separable()}, tiny.grid())


def test_the_columns_of_the_table_are_aligned_with_a_long_name(scores):
    first, second = scores.rows
    named = replace(scores, rows=(first, replace(second, representation="catalogue-of-another-encoder")))
    lines = table(named).splitlines()
    values = {"trained": 1.0, "catalogue-of-another-encoder": second.main.value, "chance": scores.chance["accuracy"]}
    ends = {line.index(f"{values[name]:.3f}") for line in lines[3:-1] if (name := line.split()[0]) in values}
    assert len(ends) == 1
    assert lines[2].index("test") + len("test") == ends.pop() + len("0.000")


def test_the_table_has_all_numbers_in_aligned_columns(scores):
    lines = table(scores).splitlines()
    assert lines[0] == "made / key: 3 classes, 30 train, 30 valid, 30 test, 15 test groups"
    assert lines[1] == "  quick grid: 1 probes, chosen on validation; not the paper's protocol, which is --grid full"
    assert lines[2].split()[:3] == ["accuracy", "width", "test"]
    assert [line.split()[0] for line in lines[3:-1]] == ["trained", "mean-log-mel", "majority", "chance"]
    assert lines[-1].startswith("  trained by number of training clips, accuracy: ")
    assert lines[-1].endswith("1.000 with 30")
    random = scores.rows[1].main
    assert f"{random.value:.3f}" in lines[4]
    assert f"± {random.seed_deviation:.3f}" in lines[4]
    assert lines[4].endswith(f"{random.lead.low:+.3f} to {random.lead.high:+.3f}")
    ends = [line.index(f"{value:.3f}") for line, value in ((lines[3], 1.0), (lines[6], scores.chance["accuracy"]))]
    assert ends[0] == ends[1]


def test_a_row_holds_the_search_the_seeds_and_the_label_efficiency(scores):
    row = scores.rows[0]
    assert row.config == tiny.grid().configs[0].to_dict()
    assert row.search == {"patience": 1}
    assert row.valid == {"accuracy": 1.0}
    assert len(row.main.seeds) == 2
    assert row.main.seeds[0] == row.main.value
    assert row.main.neighbours == 1.0
    assert [subset["share"] for subset in row.efficiency] == [0.1, 0.25, 1.0]
    assert row.efficiency[-1]["clips"] == 30
    assert np.array(row.details["confusions"]).trace() == 30
    assert row.main.interval.low <= row.main.value <= row.main.interval.high


def test_representations_of_different_clips_are_an_error():
    other = tiny.separable(seed=1)
    with pytest.raises(InvalidInput, match="'untrained' and 'trained' differ in their clips, splits, groups or labels"):
        _score(trained=tiny.separable(), untrained=other)


def test_a_mean_estimate_has_the_interval_of_the_mean_on_the_same_replicates():
    task = Task.of(tiny.separable(60), "key")
    blank = np.zeros((len(task.splits["test"].targets), len(task.classes)), np.float32)
    right = np.eye(len(task.classes), dtype=np.float32)[task.splits["test"].targets]
    wrong = np.roll(right, 1, axis=1)
    right, wrong, blank = (scored_outputs(task, "test", outputs) for outputs in (right, wrong, blank))
    mean = mean_estimate(task, [right, wrong])
    assert mean == {"metrics": {"accuracy": 0.5}, "intervals": {"accuracy": {"low": 0.5, "high": 0.5}}}
    single, estimate = mean_estimate(task, [blank]), estimate_metrics(task, blank)["accuracy"]
    assert single["metrics"]["accuracy"] == estimate.value
    assert single["intervals"]["accuracy"] == asdict(Interval.of(estimate.replicates))


def test_every_label_subset_has_an_interval_around_its_mean(scores):
    for row in scores.rows:
        for subset in row.efficiency:
            for metric, interval in subset["intervals"].items():
                assert interval["low"] <= subset["metrics"][metric] <= interval["high"]
