"""The command `model.metrics`: the metrics of runs as TensorBoard's event files and as a table of values."""

from __future__ import annotations

import csv
import sys

import pytest

from model import metrics as command
from model.training import metrics_log

ROWS = [
    {"step": 0, "loss": 7.5, "windows_per_second": 100.0, "unix_seconds": 1e9},
    {"step": 9, "loss": 6.25, "neighbours": 0.5, "neighbours_of": "genre of demo", "unix_seconds": 1e9 + 5},
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    for row in ROWS:
        metrics_log.append(folder, row)
    return folder


def _scalars(folder):
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="an extra")
    events = module.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value, event.wall_time) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.mark.slow
def test_tensorboard_reads_every_number_with_its_step_and_time(run, capsys):
    assert command.main(["mine", "--to", "tensorboard"]) == 0
    assert capsys.readouterr().out == "runs/mine/tensorboard: 2 lines of metrics\n"
    assert _scalars(run / "tensorboard") == {
        "loss": [(0, 7.5, 1e9), (9, 6.25, 1e9 + 5)],
        "windows_per_second": [(0, 100.0, 1e9)],
        "neighbours": [(9, 0.5, 1e9 + 5)],
    }


def test_a_second_conversion_replaces_the_first(run):
    assert command.main(["mine", "--to", "tensorboard"]) == 0
    metrics_log.append(run, {"step": 19, "loss": 5.0})
    assert command.main(["mine", "--to", "tensorboard"]) == 0
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert [step for step, *_ in _scalars(run / "tensorboard")["loss"]] == [0, 9, 19]


def test_the_error_without_tensorboard_says_how_to_install_it(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert command.main(["mine", "--to", "tensorboard"]) == 2
    assert "`pip install 'myna[tensorboard]'`, or use --to csv" in capsys.readouterr().err
    assert not (run / "tensorboard").exists()


def test_a_table_has_a_column_for_each_metric_with_gaps_for_missing_values(run):
    assert command.main(["mine", "--to", "csv"]) == 0
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "loss", "windows_per_second", "unix_seconds", "neighbours", "neighbours_of"]
    assert [row["loss"] for row in rows] == ["7.5", "6.25"]
    assert (rows[0]["neighbours"], rows[1]["windows_per_second"]) == ("", "")
    assert rows[1]["neighbours_of"] == "genre of demo"


def test_several_runs_are_converted(run, capsys):
    (run.parent / "other").mkdir()
    metrics_log.append(run.parent / "other", {"step": 0, "loss": 1.0})
    assert command.main(["mine", "other", "--to", "csv"]) == 0
    assert capsys.readouterr().out.count("metrics.csv: ") == 2


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no metrics at runs/none/"), ("a/b", "name 'a/b' cannot be used")]
)
def test_a_missing_run_is_an_error(run, capsys, name, message):
    assert command.main([name, "--to", "csv"]) == 2
    assert message in capsys.readouterr().err


def test_at_least_one_run_is_needed(run, capsys):
    assert command.main(["--to", "csv"]) == 2
    assert "at least one run is needed" in capsys.readouterr().err
