"""metrics.jsonl: what was appended is read, what will be done again is forgotten, what is damaged is named."""

from __future__ import annotations

import pytest

from model.training import metrics_log
from stores.errors import CorruptArtifact, MissingArtifact


def _write(folder, *steps):
    for step in steps:
        metrics_log.append(folder, {"step": step, "loss": 0.5 * step})


def test_lines_come_back_in_order(tmp_path):
    _write(tmp_path, 0, 10, 20)
    assert metrics_log.read(tmp_path) == [{"step": step, "loss": 0.5 * step} for step in (0, 10, 20)]


def test_the_line_that_is_being_written_is_left_out(tmp_path):
    _write(tmp_path, 0, 10)
    with (tmp_path / metrics_log.NAME).open("a") as file:
        file.write('{"step": 20, "lo')
    assert [row["step"] for row in metrics_log.read(tmp_path)] == [0, 10]


@pytest.mark.parametrize(("step", "left"), [(0, []), (10, [0]), (11, [0, 10]), (99, [0, 10, 20])])
def test_a_step_and_later_ones_are_forgotten(tmp_path, step, left):
    _write(tmp_path, 0, 10, 20)
    metrics_log.truncate(tmp_path, step)
    assert [row["step"] for row in metrics_log.read(tmp_path)] == left


def test_a_line_that_was_cut_off_is_forgotten_and_the_next_one_stands_alone(tmp_path):
    _write(tmp_path, 0)
    with (tmp_path / metrics_log.NAME).open("a") as file:
        file.write('{"step": 10, "lo')
    metrics_log.truncate(tmp_path, 99)
    _write(tmp_path, 20)
    assert [row["step"] for row in metrics_log.read(tmp_path)] == [0, 20]


def test_where_there_is_nothing_to_forget_the_file_is_not_touched(tmp_path):
    metrics_log.truncate(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
    _write(tmp_path, 0, 10)
    before = (tmp_path / metrics_log.NAME).stat()
    metrics_log.truncate(tmp_path, 99)
    assert (tmp_path / metrics_log.NAME).stat().st_ino == before.st_ino


def test_a_folder_without_metrics_names_the_command_that_makes_them(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no metrics at .*python -m model\.train"):
        metrics_log.read(tmp_path)


@pytest.mark.parametrize(("line", "told"), [("{", "is no JSON"), ("[1]", "no line of metrics"), ("{}", "no line of")])
def test_a_line_of_something_else_is_named(tmp_path, line, told):
    (tmp_path / metrics_log.NAME).write_text(line + "\n")
    with pytest.raises(CorruptArtifact, match=told):
        metrics_log.read(tmp_path)
