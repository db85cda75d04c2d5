"""metrics.jsonl: appended lines can be read, lines of repeated steps are removed, and damage is reported."""

from __future__ import annotations

import pytest

from model.training import metrics_log
from stores.errors import CorruptArtifact, MissingArtifact


def _append_lines(folder, *steps):
    for step in steps:
        metrics_log.append(folder, {"step": step, "loss": 0.5 * step})


def test_lines_are_read_in_order(tmp_path):
    _append_lines(tmp_path, 0, 10, 20)
    assert metrics_log.read(tmp_path) == [{"step": step, "loss": 0.5 * step} for step in (0, 10, 20)]


def test_an_incomplete_last_line_is_not_read(tmp_path):
    _append_lines(tmp_path, 0, 10)
    with (tmp_path / metrics_log.NAME).open("a") as file:
        file.write('{"step": 20, "lo')
    assert [row["step"] for row in metrics_log.read(tmp_path)] == [0, 10]


@pytest.mark.parametrize(("step", "remaining"), [(0, []), (10, [0]), (11, [0, 10]), (99, [0, 10, 20])])
def test_truncation_removes_a_step_and_all_later_ones(tmp_path, step, remaining):
    _append_lines(tmp_path, 0, 10, 20)
    metrics_log.truncate(tmp_path, step)
    assert [row["step"] for row in metrics_log.read(tmp_path)] == remaining


def test_truncation_removes_an_incomplete_last_line(tmp_path):
    _append_lines(tmp_path, 0)
    with (tmp_path / metrics_log.NAME).open("a") as file:
        file.write('{"step": 10, "lo')
    metrics_log.truncate(tmp_path, 99)
    _append_lines(tmp_path, 20)
    assert [row["step"] for row in metrics_log.read(tmp_path)] == [0, 20]


def test_truncation_writes_nothing_if_there_is_nothing_to_remove(tmp_path):
    metrics_log.truncate(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
    _append_lines(tmp_path, 0, 10)
    before = (tmp_path / metrics_log.NAME).stat()
    metrics_log.truncate(tmp_path, 99)
    assert (tmp_path / metrics_log.NAME).stat().st_ino == before.st_ino


def test_a_folder_without_metrics_is_an_error_that_names_the_command(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no metrics at .*python -m model\.train"):
        metrics_log.read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"), [("{", "is not JSON"), ("[1]", "not a line of metrics"), ("{}", "not a line of metrics")]
)
def test_a_line_that_is_not_metrics_is_an_error(tmp_path, line, message):
    (tmp_path / metrics_log.NAME).write_text(line + "\n")
    with pytest.raises(CorruptArtifact, match=message):
        metrics_log.read(tmp_path)
