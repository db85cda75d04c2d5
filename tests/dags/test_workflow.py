"""Workflows: steps run in order, a failure stops what waits for it, and the graph can be drawn without running."""

from __future__ import annotations

import pytest

from dags.workflow import Step, StepFailed, graph, mermaid, run
from stores.errors import StepStopped


class Diary:
    """Commands that write down when they ran and with what."""

    def __init__(self):
        self.lines = []

    def step(self, name, *after, status=0, arguments=()):
        def main(given):
            self.lines.append((name, tuple(given)))
            return status

        return Step(name, main, tuple(arguments), after)

    @property
    def names(self):
        return [name for name, _ in self.lines]


@pytest.fixture
def diary():
    return Diary()


def test_a_step_runs_after_all_that_it_waits_for_and_once(diary):
    run([diary.step("a"), diary.step("b", "a"), diary.step("c", "a"), diary.step("d", "b", "c"), diary.step("e", "d")])
    assert sorted(diary.names) == ["a", "b", "c", "d", "e"]
    place = {name: diary.names.index(name) for name in diary.names}
    assert place["a"] < min(place["b"], place["c"]) <= max(place["b"], place["c"]) < place["d"] < place["e"]


def test_arguments_reach_the_command_as_they_are_even_if_they_are_names_of_steps(diary):
    run([diary.step("a", arguments=("--x", "1")), diary.step("b", "a", arguments=("a", "b", "--", ""))])
    assert diary.lines == [("a", ("--x", "1")), ("b", ("a", "b", "--", ""))]


@pytest.mark.parametrize("status", [1, 2])
def test_a_failure_names_its_step_and_stops_the_rest(diary, status):
    with pytest.raises(StepFailed, match=rf"step 'b' ended with status {status}; fix the error above"):
        run([diary.step("a"), diary.step("b", "a", status=status), diary.step("c", "b")])
    assert diary.names == ["a", "b"]


def test_a_command_that_raises_stops_the_rest(diary):
    broken = Step("b", lambda _: 1 / 0, (), ("a",))
    with pytest.raises(ZeroDivisionError):
        run([diary.step("a"), broken, diary.step("c", "b")])
    assert diary.names == ["a"]


def test_ctrl_c_in_a_step_is_ctrl_c_and_no_failure(diary):
    with pytest.raises(StepStopped):  # which is a KeyboardInterrupt, and the command has told it
        run([diary.step("a", status=130), diary.step("b", "a")])
    assert diary.names == ["a"]


def test_each_step_is_announced_and_timed(diary, capsys):
    run([diary.step("a"), diary.step("b", "a")])
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if line.startswith("== ")] == ["== a", "== b"]
    assert [line.split(":")[0].strip() for line in lines if line.startswith("   ")] == ["a", "b"]


def test_a_step_that_waits_for_one_that_is_not_before_it_is_a_mistake(diary):
    with pytest.raises(KeyError, match="b"):
        graph([diary.step("a", "b"), diary.step("b")])


def test_the_graph_has_a_key_for_each_step(diary):
    keys = graph([diary.step("a"), diary.step("b", "a")]).__dask_graph__().keys()
    assert set(keys) == {"a", "b", "workflow"}


def test_the_drawing_has_an_arrow_for_each_wait_and_runs_nothing(diary):
    steps = [diary.step("a"), diary.step("b", "a"), diary.step("c", "a"), diary.step("d", "b", "c")]
    assert mermaid(steps) == "flowchart LR\n    a --> b\n    a --> c\n    b --> d\n    c --> d"
    assert diary.names == []
