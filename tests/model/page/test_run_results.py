"""What a run found: all of it, in the paper's order, and nothing that is not of this run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import synthetic_report

from model.page import run_results
from stores import locations
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact


@pytest.fixture
def place(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    synthetic_report.one_task(make_store)
    return tmp_path


@pytest.fixture
def whole(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    synthetic_report.everything(make_store)
    return tmp_path


def test_data_sets_come_in_the_papers_order_then_the_others(whole):
    assert run_results.gather("first").datasets == ("magnatagatune", "gtzan", "giantsteps", "emomusic", "made")


def test_those_that_are_asked_for_are_taken(whole):
    assert run_results.gather("first", ["made", "gtzan"]).datasets == ("gtzan", "made")


def test_sweeps_and_other_runs_are_found_and_nothing_else(whole):
    synthetic_report.sweep("elsewhere", "batch", (1, 2))
    path = locations.sweep("elsewhere")
    path.write_text(path.read_text().replace('"store": "made"', '"store": "another"'))
    (locations.RUNS / "broken" / "scores").mkdir(parents=True)
    (locations.RUNS / "broken" / "scores" / "made.genre.json").write_text("{")
    (locations.RUNS / "broken" / "config.json").write_text("{")
    found = run_results.gather("first")
    assert [one.name for one in found.sweeps] == ["made-batch", "made-masking_ratio", "made-schedule"]
    assert [name for name, _, _ in found.others] == ["other"]
    assert found.unread == ("broken",)
    assert found.reconstruction == synthetic_report.PIXEL


def test_values_that_are_not_finite_are_left_out(place):
    path = locations.run("first") / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": NaN}\n{"step": 1, "loss": 2.5, "alignment": Infinity}\n')
    assert run_results.gather("first").metrics == [{"step": 0}, {"step": 1, "loss": 2.5}]


def test_scores_of_other_features_than_those_there_now_are_refused(place):
    synthetic_report.features(lambda i: {}, digest="later").write(locations.feature_store("made", "first"))
    told = "the scores on genre are of other features than those there now; run `python -m model.probe made` again"
    with pytest.raises(DigestMismatch, match=told):
        run_results.gather("first")


@pytest.mark.parametrize(
    ("run", "datasets", "told"),
    [
        ("none", [], "no run at runs/none; train one with `python -m model.train --store STORE --name none`"),
        ("first", ["other"], "no scores of 'other' for run 'first'; make them with `python -m model.probe other`"),
        ("first", ["made", "other"], "no scores of 'other'"),
        ("first", ["first"], "no scores of 'first' for run 'first'; `--run first` tells of that run"),
    ],
)
def test_what_is_not_there_is_missing(place, run, datasets, told):
    with pytest.raises(MissingArtifact, match=told):
        run_results.gather(run, datasets)


def test_a_run_without_scores_has_no_findings(place):
    locations.scores("first", "made", "genre").unlink()
    with pytest.raises(MissingArtifact, match=r"no scores for run 'first'; make them with `python -m model\.probe"):
        run_results.gather("first")


@pytest.mark.parametrize("text", ["{", "[]", '{"encoder": 3}', '{"encoder": {}}'])
def test_settings_that_are_none_are_refused(place, text):
    (locations.run("first") / "config.json").write_text(text)
    with pytest.raises(CorruptArtifact, match="holds no settings of a run of this version"):
        run_results.gather("first")


def test_a_picture_that_is_none_is_refused(place):
    (locations.run("first") / "reconstructions.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(CorruptArtifact, match="is no PNG"):
        run_results.gather("first")


def test_the_store_is_what_the_run_noted(place):
    path = locations.run("first") / "config.json"
    content = json.loads(path.read_text())
    content.pop("store")
    path.write_text(json.dumps(content))
    assert run_results.gather("first").store == ""


def test_a_line_of_metrics_whose_step_is_no_number_is_refused(place):
    (locations.run("first") / "metrics.jsonl").write_text('{"step": "0", "loss": 1}\n')
    with pytest.raises(CorruptArtifact, match="holds a line whose step is no integer"):
        run_results.gather("first")


def test_clips_of_the_shards_are_counted_only_where_they_are_those_of_the_run(place, monkeypatch):
    seen = {"clips": 57, "store_digest": run_results.gather("first").config.shards}
    monkeypatch.setattr(run_results.ShardSet, "open", lambda *_, **__: SimpleNamespace(**seen))
    assert run_results.gather("first").trained_clips == 57
    seen["store_digest"] = "other"
    assert run_results.gather("first").trained_clips is None
