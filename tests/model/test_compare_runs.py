"""`model.compare A B`: settings that differ, paired scores, and a page with curves over each other."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import synthetic_report
import tiny

from model import compare
from model.probes.results import scores as result_scores
from model.probes.results.winning_probe import probe_path, write_winning_probe
from model.probes.training.grid_search import GridSearch
from stores import locations
from stores.features import FeatureStore
from stores.mel_store import MelStore


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with two runs that were probed on the same clips, one of them with noise in its features."""
    import torch
    from small_stores import store_maker

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        synthetic_report.one_task(store_maker(folder))
        synthetic_report.run("second", "dcl", seed=5)
        store = MelStore.open(locations.mel_store("made"))
        thirds = [(row, row.index // 3) for row in store.rows]
        store.update([replace(row, split=("train", "valid", "test")[i % 3], group=str(i)) for row, i in thirds])
        rows = list(store.rows)
        names = sorted({row.labels["genre"] for row in rows})
        right = np.eye(len(names), 8)[[names.index(row.labels["genre"]) for row in rows]]
        noise = np.random.default_rng(0).normal(size=(len(rows), 8))
        for run, share in (("first", 3.0), ("second", 0.1)):
            _score(run, store, rows, right + share * noise, torch)
    return folder


def _score(run, store, rows, embeddings, torch):
    provenance = {"store_digest": store.digest(), "digest": run, "weights": run, "engine": {}}
    features = FeatureStore(embeddings.astype(np.float32), rows, provenance, mel_store=store.path)
    features.write(locations.feature_store("made", run))
    grid = tiny.grid()

    def search(_name):
        return GridSearch(torch.device("cpu"), torch.float32)

    results = result_scores.evaluate_representations("genre", {"trained": features}, grid, search)
    task_scores = result_scores.score_representations("genre", "made", run, {"trained": features}, grid, results)
    task_scores.write(locations.scores(run, "made", "genre"))
    path = probe_path(run, "made", "genre", "trained")
    write_winning_probe(path, results["trained"], features.provenance, {"dataset": "made", "grid": grid.name})


@pytest.fixture
def workplace(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def test_scores_have_the_stored_values_and_paired_intervals(workplace, capsys):
    assert compare.main(["first", "second", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (score,) = printed["scores"]
    for run in ("first", "second"):
        stored = result_scores.Scores.read(locations.scores(run, "made", "genre"))
        assert score["runs"][run]["value"] == pytest.approx(stored.rows[0].main.value)
    assert score["runs"]["first"]["difference"] is None
    assert score["runs"]["second"]["difference"][0] > 0
    assert printed["settings"]["objective.name"] == {"first": "infonce", "second": "dcl"}
    assert "batch" not in printed["settings"]


def test_the_page_has_scores_settings_and_curves_of_both_runs(workplace, capsys):
    assert compare.main(["first", "second", "--name", "both"]) == 0
    printed = capsys.readouterr().out
    assert "seed: first 3, second 5" in printed
    assert "significantly better" in printed
    page = (workplace / "reports" / "both.html").read_text()
    assert "second is significantly better than first in genre of made (12 test clips)." in page
    for part in ('id="scores-title"', 'id="settings-title"', 'id="curve-loss"', 'id="curve-neighbours"'):
        assert part in page


def test_runs_without_common_scores_are_compared_without_them(workplace, capsys):
    shutil.copytree("runs/second", "runs/third")
    shutil.rmtree("runs/third/scores")
    assert compare.main(["first", "third"]) == 0
    assert "no task has scores of all runs; make them with `python -m model.probe DATASET`" in capsys.readouterr().out
    shutil.rmtree("runs/third")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["first", "none"], "first is a run, and there is no run none; name two runs, or one run with --run"),
        (["first"], "first is a run, and a comparison needs a second run"),
        (["first", "first"], "a comparison needs 2 to 7 different runs (got first, first)"),
    ],
)
def test_a_comparison_that_is_not_possible_is_an_error(workplace, capsys, words, message):
    assert compare.main(words) == 2
    assert message in capsys.readouterr().err


def test_scores_with_other_labels_are_not_compared(workplace, capsys):
    path = locations.scores("second", "made", "genre")
    content = path.read_text()
    path.write_text(json.dumps({**json.loads(content), "labels": "other"}))
    assert compare.main(["first", "second"]) == 2
    assert "the runs were scored with other labels or splits of made / genre" in capsys.readouterr().err
    path.write_text(content)
