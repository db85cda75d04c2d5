"""The score table: every representation beside chance and majority, and who leads whom."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny

from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.scoring import estimate_metrics, mean_of, scored
from model.probes.results.scores import TRAINED, Scores, score
from model.probes.results.text_table import table
from model.probes.task import Task
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact


def _score(**features):
    named = {name.replace("_", "-"): store for name, store in features.items()}
    return score("key", "made", "run", named, tiny.grid(patience=30))


@pytest.fixture(scope="module")
def scores():
    """A trained representation that knows the class, and a baseline that knows nothing of the same clips."""
    known = tiny.separable(90, noise=0.05, digest="good")
    blind = tiny.FeatureStore(
        np.random.default_rng(1).normal(size=(90, 7)).astype(np.float32), known.rows, {"digest": "bad"}
    )
    return _score(mean_log_mel=blind, trained=known)


def test_the_trained_one_comes_first_whatever_order_it_was_given_in(scores):
    assert [row.representation for row in scores.rows] == [TRAINED, "mean-log-mel"]
    assert [row.width for row in scores.rows] == [4, 7]


def test_the_lead_is_the_trained_one_minus_the_other(scores):
    trained, blind = scores.rows
    assert trained.main.value == 1.0
    assert trained.main.lead is None
    assert 0 < blind.main.lead.low < trained.main.value - blind.main.value < blind.main.lead.high <= 1


def test_a_trained_one_that_is_behind_has_a_negative_lead():
    known = tiny.separable(90, noise=0.05)
    blind = tiny.FeatureStore(
        np.random.default_rng(1).normal(size=(90, 7)).astype(np.float32), known.rows, {"digest": 1}
    )
    behind = _score(trained=blind, untrained=known).rows[1].main.lead
    assert -1 <= behind.low < behind.high < 0


def test_the_lead_over_itself_is_nothing():
    known = tiny.separable(90, noise=0.6)
    lead = _score(trained=known, untrained=known).rows[1].main.lead
    assert (lead.low, lead.high) == (0, 0)


def test_chance_counts_classes_and_majority_scores_the_most_frequent_of_train():
    splits = ["train"] * 6 + ["valid"] * 3 + ["test"] * 4
    labels = ["a", "a", "a", "b", "b", "c", "a", "b", "c", "b", "b", "b", "a"]
    made = tiny.features(np.random.default_rng(0).normal(size=(13, 2)), labels, splits)
    scores = _score(trained=made)
    assert scores.chance == {"accuracy": pytest.approx(1 / 3)}
    assert scores.majority == {"accuracy": 0.25}  # "a" leads in train, and one of four test clips is "a"
    assert scores.classes == ("a", "b", "c")
    assert scores.clips == {"train": 6, "valid": 3, "test": 4}
    assert scores.test_groups == 4


def test_groups_are_counted_among_test_clips(scores):
    assert scores.test_groups == 15  # 30 test clips, two a group


def test_the_digests_of_the_features_are_kept(scores):
    assert scores.provenance == {"trained": "good", "mean-log-mel": "bad"}


def test_scores_come_back_as_they_were(scores, tmp_path):
    scores.write(tmp_path / "deep" / "made.key.json")
    assert Scores.read(tmp_path / "deep" / "made.key.json") == scores


def test_scores_that_are_not_there_name_the_command(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no scores at .*python -m model\.probe"):
        Scores.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"rows": [{}]}', '{"format_version": 2, "rows": [{}]}', '{"format_version": 1}']
)
def test_a_file_that_holds_no_scores_is_corruption(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(CorruptArtifact, match="does not hold scores of this version"):
        Scores.read(tmp_path / "s.json")


def test_scores_of_another_version_are_corruption(scores, tmp_path):
    scores.write(tmp_path / "s.json")
    content = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps({**content, "more": 1}))
    with pytest.raises(CorruptArtifact, match="more"):
        Scores.read(tmp_path / "s.json")


def test_a_task_that_cannot_be_probed_is_refused():
    with pytest.raises(InvalidInput, match="task 'genre'"):
        score("genre", "made", "run", {TRAINED: tiny.separable()}, tiny.grid())


def test_the_table_lines_up_under_a_long_name_as_well(scores):
    first, second = scores.rows
    named = replace(scores, rows=(first, replace(second, representation="catalogue-of-another-encoder")))
    lines = table(named).splitlines()
    values = {"trained": 1.0, "catalogue-of-another-encoder": second.main.value, "chance": scores.chance["accuracy"]}
    ends = {line.index(f"{values[name]:.3f}") for line in lines[3:-1] if (name := line.split()[0]) in values}
    assert len(ends) == 1
    assert lines[2].index("test") + len("test") == ends.pop() + len("0.000")


def test_the_table_holds_every_number_and_lines_up(scores):
    lines = table(scores).splitlines()
    assert lines[0] == "made / key: 3 classes, 30 train, 30 valid, 30 test, 15 test groups"
    assert lines[1] == "  quick grid: 1 probes, chosen on validation; not the paper's protocol, which is --grid full"
    assert lines[2].split()[:3] == ["accuracy", "width", "test"]
    assert [line.split()[0] for line in lines[3:-1]] == ["trained", "mean-log-mel", "majority", "chance"]
    assert lines[-1].startswith("  trained by training clips, accuracy: ")
    assert lines[-1].endswith("1.000 of 30")
    blind = scores.rows[1].main
    assert f"{blind.value:.3f}" in lines[4]
    assert f"± {blind.spread:.3f}" in lines[4]
    assert lines[4].endswith(f"{blind.lead.low:+.3f} to {blind.lead.high:+.3f}")
    ends = [line.index(f"{value:.3f}") for line, value in ((lines[3], 1.0), (lines[6], scores.chance["accuracy"]))]
    assert ends[0] == ends[1]


def test_a_row_tells_how_it_was_found_and_how_far_to_believe_it(scores):
    row = scores.rows[0]
    assert row.config == tiny.grid().configs[0].to_dict()
    assert row.search == {"patience": 1}
    assert row.valid == {"accuracy": 1.0}
    assert len(row.main.seeds) == 2
    assert row.main.seeds[0] == row.main.value
    assert row.main.neighbours == 1.0
    assert [one["share"] for one in row.efficiency] == [0.1, 0.25, 1.0]
    assert row.efficiency[-1]["clips"] == 30
    assert np.array(row.details["confusions"]).trace() == 30
    assert row.main.interval.low <= row.main.value <= row.main.interval.high


def test_representations_of_other_clips_are_refused():
    other = tiny.separable(seed=1)
    with pytest.raises(InvalidInput, match="'untrained' are of other clips, splits or labels than those of 'trained'"):
        _score(trained=tiny.separable(), untrained=other)


def test_the_interval_of_a_share_is_of_the_mean_over_its_draws_and_paired_by_group():
    task = Task.of(tiny.separable(60), "key")
    blank = np.zeros((len(task.splits["test"].targets), len(task.classes)), np.float32)
    right = np.eye(len(task.classes), dtype=np.float32)[task.splits["test"].targets]
    wrong = np.roll(right, 1, axis=1)
    one, other, none = (scored(task, "test", outputs) for outputs in (right, wrong, blank))
    found = mean_of(task, [one, other])
    assert found == {"metrics": {"accuracy": 0.5}, "intervals": {"accuracy": {"low": 0.5, "high": 0.5}}}
    alone, measured = mean_of(task, [none]), estimate_metrics(task, none)["accuracy"]
    assert alone["metrics"]["accuracy"] == measured.value
    assert alone["intervals"]["accuracy"] == asdict(Interval.of(measured.draws))


def test_every_share_has_an_interval_around_its_mean(scores):
    for row in scores.rows:
        for one in row.efficiency:
            for metric, within in one["intervals"].items():
                assert within["low"] <= one["metrics"][metric] <= within["high"]
