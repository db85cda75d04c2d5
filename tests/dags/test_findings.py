"""The workflow of the study of findings."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import small_stores

from dags import findings as command
from dags.config import FindingsSettings
from dags.workflow import Step
from dags.workflows import findings
from model.evidence.findings import RUNS, StudyRun
from stores import sweep_file

KEYS = ("C major", "G major")


def test_all_configurations_take_turns_with_each_seed():
    names = [step.name for step in findings.steps(FindingsSettings(seeds=2))]
    first, second = ([f"{run.name}-{seed}" for run in RUNS] for seed in (0, 1))
    assert names == ["render-varied", "render-varied-test", *first, *second, "table"]


def test_the_clips_of_the_probes_are_pieces_as_they_are_written():
    steps = {step.name: step for step in findings.steps(FindingsSettings(clips=240))}
    assert "--clips 120 --as-written" in " ".join(steps["render-varied-test"].arguments)
    assert "--as-written" not in steps["render-varied"].arguments


def test_a_missing_soundfont_is_an_error_that_names_its_package(tmp_path, capsys):
    assert command.main(["--test-soundfont", str(tmp_path / "gone.sf2")]) == 2
    assert "gone.sf2 does not exist; install Debian's package fluid-soundfont-gm" in capsys.readouterr().err


def test_no_run_begins_after_the_time_is_over(tmp_path, capsys):
    settings = FindingsSettings(minutes=1e-9, out=tmp_path)
    step = next(step for step in findings.steps(settings) if step.name == "vertical-0")
    assert step.main(()) == 0
    assert "not begun" in capsys.readouterr().out
    (tmp_path / "vertical-0.json").write_text("{}")
    assert step.main(()) == 0
    assert "vertical-0.json is there" in capsys.readouterr().out


def _write_corpus(path, seed):
    """Write a mel store of 60 clips of random codes, with both labels, splits and groups."""
    splits = [("train", "valid", "test")[number // 4 % 3] for number in range(60)]
    store = small_stores.store_maker(path.parent)([192] * 60, path.name, splits, seed=seed)
    labels = [{"key": KEYS[number % 2], "genre": "ab"[number % 2]} for number in range(60)]
    store.update([replace(row, labels=labels[i], group=f"g{i // 4}") for i, row in enumerate(store.rows)])


@pytest.mark.slow
def test_the_study_trains_scores_and_writes_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = (StudyRun("vertical"), StudyRun("hybrid", patches="hybrid"), StudyRun("untrained", trained=False))
    monkeypatch.setattr(findings, "RUNS", [replace(run, batch=16) for run in runs])
    monkeypatch.setattr(findings, "rendering", lambda name, *_, **__: Step(f"render-{name}", lambda _: 0, ()))
    for seed, name in enumerate(("varied", "varied-test")):
        _write_corpus(tmp_path / f"stores/{name}.zarr", seed)
    words = ("--clips-seen", "32", "--seeds", "1", "--test-soundfont", __file__, "--json")
    assert command.main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    names = {score["name"] for score in printed["findings"]["scores"]}
    assert names == {"vertical", "hybrid", "hybrid/square", "hybrid/vertical", "untrained"}
    assert "| hybrid/vertical |" in (tmp_path / "reports/findings/findings.md").read_text()
    assert not [path for path in (tmp_path / "runs").glob("findings-*") if path.is_dir()]
    swept = sweep_file.read_all(tmp_path / "runs")
    assert [sweep.name for sweep in swept] == ["findings-preset"], "all other settings have one value here"
    assert all(point.loss > 0 and len(point.config_digest) == 16 for sweep in swept for point in sweep.points)
    assert "preset on varied" in (tmp_path / "reports/findings/findings.html").read_text()
