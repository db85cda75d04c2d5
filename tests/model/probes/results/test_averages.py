"""The average over tasks, the command that prints it, and the workflow that ends with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from dags.config import BENCHMARKS
from dags.workflows import benchmark
from model import compare
from model.probes.evaluation.bootstrap import Interval
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
            rows.append(replace(row, metrics=metrics))
        return replace(template, task=task, kind=kind, grid="full", rows=tuple(rows))

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


def test_scores_of_other_grids_are_marked_and_rows_that_a_task_lacks_are_left_out(scores):
    quick = replace(scores[1], grid="quick", rows=scores[1].rows[:1])
    lines = averages([scores[0], quick]).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [TRAINED]
    assert lines[-1] == "not the paper's protocol, which is --grid full: made/genre"


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
    chain = benchmark.steps(BENCHMARKS, Path("runs/x/encoder.safetensors"))
    assert set(BENCHMARKS) == {"magnatagatune", "gtzan", "giantsteps", "emomusic"}
    by_name = {step.name: step for step in chain}
    assert by_name["probe-emomusic"].arguments[-2:] == ("--grid", "full")
    for step in chain[-2:]:
        assert set(step.after) == {f"probe-{name}" for name in BENCHMARKS}
    assert [step.name for step in chain[-2:]] == ["compare", "report"]
    assert chain[-1].arguments == (*BENCHMARKS, "--run=x")
    quick = benchmark.steps(("gtzan",), Path("runs/x/encoder.safetensors"), "quick")
    assert {step.name: step for step in quick}["probe-gtzan"].arguments[-2:] == ("--grid", "quick")
