"""The results of a run: all of them in the paper's order, and nothing of other runs."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import synthetic_report
from small_stores import store_maker

from model.page import overview, provenance, run_results
from stores import locations
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    """Return a folder with a run that has scores on one task, which tests copy."""
    folder = tmp_path_factory.mktemp("one_task")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        synthetic_report.one_task(store_maker(folder))
    return folder


@pytest.fixture
def one_task(tmp_path, monkeypatch, built_once):
    shutil.copytree(built_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def everything(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    synthetic_report.everything(make_store)
    return tmp_path


def test_the_papers_datasets_come_first(everything):
    assert run_results.gather("first").datasets == ("magnatagatune", "gtzan", "giantsteps", "emomusic", "made")


def test_requested_datasets_are_selected(everything):
    assert run_results.gather("first", ["made", "gtzan"]).datasets == ("gtzan", "made")


def test_only_sweeps_and_runs_on_the_same_datasets_are_included(everything):
    synthetic_report.sweep("elsewhere", "batch", (1, 2))
    path = locations.sweep("elsewhere")
    path.write_text(path.read_text().replace('"store": "made"', '"store": "another"'))
    (locations.RUNS / "broken" / "scores").mkdir(parents=True)
    (locations.RUNS / "broken" / "scores" / "made.genre.json").write_text("{")
    (locations.RUNS / "broken" / "config.json").write_text("{")
    results = run_results.gather("first")
    assert [sweep.name for sweep in results.sweeps] == ["made-batch", "made-masking_ratio", "made-schedule"]
    assert [run.name for run in results.others] == ["other"]
    assert results.unread == ("broken",)
    assert results.reconstruction == synthetic_report.PIXEL


def test_values_that_are_not_finite_are_left_out(one_task):
    path = locations.run("first") / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": NaN}\n{"step": 1, "loss": 2.5, "alignment": Infinity}\n')
    assert run_results.gather("first").metrics == [{"step": 0}, {"step": 1, "loss": 2.5}]


def test_scores_of_other_features_than_the_current_ones_are_rejected(one_task):
    synthetic_report.features(lambda i: {}, digest="later").write(locations.feature_store("made", "first"))
    message = "the scores on genre belong to other features than the current ones; run `python -m model.probe made`"
    with pytest.raises(DigestMismatch, match=message):
        run_results.gather("first")


@pytest.mark.parametrize(
    ("run", "datasets", "message"),
    [
        ("none", [], "no run at runs/none; train one with `python -m model.train --store STORE --name none`"),
        ("first", ["other"], "no scores of 'other' for run 'first'; make them with `python -m model.probe other`"),
        ("first", ["made", "other"], "no scores of 'other'"),
        ("first", ["first"], "no scores of 'first' for run 'first'; 'first' is a run, whose page `--run first` makes"),
    ],
)
def test_a_missing_run_or_dataset_is_an_error(one_task, run, datasets, message):
    with pytest.raises(MissingArtifact, match=message):
        run_results.gather(run, datasets)


def test_a_run_without_scores_has_its_training_and_its_features(one_task):
    locations.scores("first", "made", "genre").unlink()
    results = run_results.gather("first")
    assert (results.scores, results.datasets) == ((), ("made",))
    assert results.metrics


@pytest.mark.parametrize("text", ["{", "[]", '{"encoder": 3}', '{"encoder": {}}'])
def test_invalid_settings_are_rejected(one_task, text):
    (locations.run("first") / "config.json").write_text(text)
    with pytest.raises(CorruptArtifact, match="does not hold the settings of a run of this version"):
        run_results.gather("first")


def test_a_picture_that_is_not_a_png_is_rejected(one_task):
    (locations.run("first") / "reconstructions.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(CorruptArtifact, match="is not a PNG"):
        run_results.gather("first")


def test_a_run_may_lack_the_name_of_its_store(one_task):
    path = locations.run("first") / "config.json"
    content = json.loads(path.read_text())
    content.pop("store")
    path.write_text(json.dumps(content))
    assert run_results.gather("first").store == ""


def test_a_line_of_metrics_whose_step_is_not_an_integer_is_rejected(one_task):
    (locations.run("first") / "metrics.jsonl").write_text('{"step": "0", "loss": 1}\n')
    with pytest.raises(CorruptArtifact, match="which is not a line of metrics; remove that line"):
        run_results.gather("first")


def test_clips_of_the_shards_count_only_if_the_run_was_trained_on_them(one_task, monkeypatch):
    shards = {"clips": 57, "store_digest": run_results.gather("first").config.shards}
    monkeypatch.setattr(run_results.ShardSet, "open", lambda *_, **__: SimpleNamespace(**shards))
    assert run_results.gather("first").trained_clips == 57
    shards["store_digest"] = "other"
    assert run_results.gather("first").trained_clips is None


def test_scores_of_an_encoder_without_a_run_have_a_page_without_training(one_task):
    (one_task / "runs" / "first" / "config.json").unlink()
    results = run_results.gather("first")
    assert results.config is None
    assert overview.lead(results).startswith("first was not trained in this folder")
    assert not any("model.train" in line for line in provenance.commands(results))


def test_a_run_with_embeddings_and_without_scores_has_a_page(one_task):
    for path in (one_task / "runs" / "first" / "scores").iterdir():
        path.unlink()
    results = run_results.gather("first")
    assert results.datasets
    assert not results.scores
    commands = provenance.commands(results)
    assert not any("model.probe" in line for line in commands)
    assert commands[-1] == "python -m model.report --run first"
