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
    ("line", "message"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON: nested more than 64 levels deep"),
        (b"[1]", "not a line of metrics"),
        (b"{}", "not a line of metrics"),
        (b'{"step": "3", "loss": 1}', "not a line of metrics"),
        (b'{"step": 3, "loss": "low"}', "not a line of metrics"),
        (b'{"step": 99999999999999999999, "loss": 1}', "more than 64 bits"),
        (b"\xff", "is not text"),
    ],
)
@pytest.mark.parametrize("use", [metrics_log.read, lambda folder: metrics_log.truncate(folder, 1)])
def test_a_line_that_is_not_metrics_is_an_error(tmp_path, line, message, use):
    (tmp_path / metrics_log.NAME).write_bytes(line + b"\n")
    with pytest.raises(CorruptArtifact, match=message):
        use(tmp_path)
