"""The average over tasks, the command that prints it, and the workflow that ends with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from dags.config import BENCHMARKS, BenchmarkSettings
from dags.workflows import benchmark
from model import compare
from model.probes.evaluation.bootstrap import Interval
from model.probes.results.averages import _MISSING as MISSING
from model.probes.results.averages import averages
from model.probes.results.scores import TRAINED, Metric, score_representations
from stores import locations


@pytest.fixture(scope="module")
def scores():
    """Scores of four tasks for two representations. The values of the second are half of those of the first."""
    features = {TRAINED: tiny.separable(30), "untrained": tiny.separable(30, noise=1.0)}
    template = score_representations("key", "made", "first", features, tiny.grid())

    def with_values(task, kind, values):
        rows = []
        for row, factor in zip(template.rows, (1, 0.5), strict=True):
            metrics = {f"m{i}": Metric(factor * value, Interval(0, 1), None) for i, value in enumerate(values)}
            rows.append(replace(row, metrics=metrics, efficiency=()))
        baseline = {f"m{i}": 0.0 for i in range(len(values))}
        settings = {"task": task, "kind": kind, "grid": "full", "chance": baseline, "majority": baseline}
        return replace(template, rows=tuple(rows), **settings)

    return [
        with_values("tags", "tags", (0.9, 0.4)),
        with_values("genre", "classes", (0.8,)),
        with_values("key", "key", (0.6, 0.5)),
        with_values("emotion", "numbers", (0.7, 0.4)),
    ]


def test_the_metrics_of_a_task_are_averaged_first(scores):
    lines = averages(scores).splitlines()
    assert lines[0].split() == ["representation", "made/tags", "made/genre", "made/key", "made/emotion", "average"]
    assert lines[1].split() == [TRAINED, "0.650", "0.800", "0.600", "0.550", "0.650"]
    assert lines[2].split() == ["untrained", "0.325", "0.400", "0.300", "0.275", "0.325"]
    assert len(lines) == 3


def test_scores_of_other_grids_are_marked(scores):
    assert averages([scores[0], replace(scores[1], grid="quick")]).splitlines()[-1] == (
        "not the paper's protocol, which is --grid full: made/genre"
    )


def test_a_representation_that_lacks_a_task_has_a_dash_and_no_average(scores):
    lines = averages([scores[0], replace(scores[1], rows=scores[1].rows[:1]), scores[2]]).splitlines()
    assert lines[1].split() == [TRAINED, "0.650", "0.800", "0.600", "0.683"]
    assert lines[2].split() == ["untrained", "0.325", MISSING, "0.300", MISSING]


def test_a_dataset_without_scores_is_a_column_of_dashes_and_there_is_no_average(scores):
    lines = averages(scores[:1], ("made", "gtzan")).splitlines()
    assert lines[0].split() == ["representation", "made/tags", "gtzan", "average"]
    assert lines[1].split() == [TRAINED, "0.650", MISSING, MISSING]


def test_the_command_prints_and_averages_the_stated_datasets_only(scores, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for each, dataset in zip(scores[:2], ("gtzan", "demo"), strict=True):
        replace(each, dataset=dataset).write(locations.scores("first", dataset, each.task))
    assert compare.main(["gtzan", "--run", "first"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run: first"
    assert lines[1].split() == ["representation", "gtzan/tags", "average"]
    assert lines[2].split() == [TRAINED, "0.650", "0.650"]
    assert compare.main(["emomusic", "--run", "first"]) == 2
    assert "no scores of run 'first' on emomusic" in capsys.readouterr().err
    for words in (["../first", "--run", "first"], ["*", "--run", "first"]):
        assert compare.main(words) in (0, 2)


def test_scores_outside_their_interval_are_refused(scores, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    row = scores[1].rows[0]
    outside = replace(row, metrics={"m0": Metric(0.8, Interval(0.9, 1.0), None)})
    replace(scores[1], rows=(outside,)).write(locations.scores("first", "made", "genre"))
    assert compare.main(["--run", "first"]) == 2
    assert "m0 of trained is 0.8, outside its interval 0.9 to 1.0" in capsys.readouterr().err


def test_the_command_reads_all_scores_of_a_run_and_reports_outdated_ones(scores, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert compare.main(["--run", "first"]) == 2
    assert "no scores of run 'first'" in capsys.readouterr().err
    for each in scores:
        each.write(locations.scores("first", "made", each.task))
    assert compare.main(["--run", "first"]) == 0
    assert "0.650" in capsys.readouterr().out
    features = locations.feature_store("made", "first")
    for digest, outdated in (("d", []), ("another", ["made/tags", "made/genre", "made/key", "made/emotion"])):
        tiny.separable(30, digest=digest).write(features)
        assert compare.main(["--run", "first"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if "scores of other features" in line]
        assert sorted(line.split(":")[0] for line in lines) == sorted(outdated)


def test_the_benchmark_has_the_four_datasets_of_the_paper_and_ends_with_their_average_and_a_report():
    chain = benchmark.steps(BENCHMARKS, Path("runs/x/encoder.safetensors"), BenchmarkSettings(), run_name="x")
    assert set(BENCHMARKS) == {"magnatagatune", "gtzan", "giantsteps", "emomusic"}
    by_name = {step.name: step for step in chain}
    assert by_name["probe-emomusic"].arguments[-2:] == ("--grid", "full")
    for step in chain[-2:]:
        assert set(step.after) == {f"probe-{name}" for name in BENCHMARKS}
    assert [step.name for step in chain[-2:]] == ["compare", "report"]
    assert chain[-1].arguments == chain[-2].arguments == (*BENCHMARKS, "--run=x")
    quick = benchmark.steps(("gtzan",), Path("runs/x/encoder.safetensors"), BenchmarkSettings(grid="quick"))
    assert {step.name: step for step in quick}["probe-gtzan"].arguments[-2:] == ("--grid", "quick")
