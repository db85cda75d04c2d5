"""Steps of a workflow run in order, a failure stops the steps that depend on it, and the graph can be drawn."""

from __future__ import annotations

import pytest

from dags.workflow import Step, StepFailed, graph, mermaid, run
from stores.errors import StepStopped


class CommandLog:
    """Commands that record their order and their arguments."""

    def __init__(self):
        self.lines = []

    def step(self, name, *after, status=0, arguments=()):
        """Return a step whose command records its call and returns `status`."""

        def main(words):
            self.lines.append((name, tuple(words)))
            return status

        return Step(name, main, tuple(arguments), after)

    @property
    def names(self):
        """Names of the steps in the order in which they ran."""
        return [name for name, _ in self.lines]


@pytest.fixture
def log():
    return CommandLog()


def test_each_step_runs_once_after_the_steps_that_it_depends_on(log):
    run([log.step("a"), log.step("b", "a"), log.step("c", "a"), log.step("d", "b", "c"), log.step("e", "d")])
    assert sorted(log.names) == ["a", "b", "c", "d", "e"]
    position = {name: log.names.index(name) for name in log.names}
    assert position["a"] < min(position["b"], position["c"])
    assert max(position["b"], position["c"]) < position["d"] < position["e"]


def test_arguments_that_are_names_of_steps_reach_the_command_unchanged(log):
    run([log.step("a", arguments=("--x", "1")), log.step("b", "a", arguments=("a", "b", "--", ""))])
    assert log.lines == [("a", ("--x", "1")), ("b", ("a", "b", "--", ""))]


@pytest.mark.parametrize("status", [1, 2])
def test_a_failure_names_its_step_and_stops_the_workflow(log, status):
    with pytest.raises(StepFailed, match=rf"step 'b' ended with status {status}; fix the error above"):
        run([log.step("a"), log.step("b", "a", status=status), log.step("c", "b")])
    assert log.names == ["a", "b"]


def test_a_command_that_raises_stops_the_workflow(log):
    broken = Step("b", lambda _: 1 / 0, (), ("a",))
    with pytest.raises(ZeroDivisionError):
        run([log.step("a"), broken, log.step("c", "b")])
    assert log.names == ["a"]


@pytest.mark.parametrize("status", [130, 143])
def test_a_stop_of_a_step_stops_the_workflow_with_its_status(log, status):
    with pytest.raises(StepStopped) as stopped:  # a KeyboardInterrupt that the command has reported
        run([log.step("a", status=status), log.step("b", "a")])
    assert stopped.value.status == status
    assert log.names == ["a"]


def test_the_name_and_time_of_each_step_are_printed(log, capsys):
    run([log.step("a"), log.step("b", "a")])
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if line.startswith("== ")] == ["== a", "== b"]
    assert [line.split(":")[0].strip() for line in lines if line.startswith("   ")] == ["a", "b"]


def test_a_dependency_that_does_not_come_before_its_step_is_an_error(log):
    with pytest.raises(KeyError, match="b"):
        graph([log.step("a", "b"), log.step("b")])


def test_the_graph_has_a_key_for_each_step(log):
    keys = graph([log.step("a"), log.step("b", "a")]).__dask_graph__().keys()
    assert set(keys) == {"a", "b", "workflow"}


def test_the_drawing_has_an_arrow_for_each_dependency_and_runs_nothing(log):
    steps = [log.step("a"), log.step("b", "a"), log.step("c", "a"), log.step("d", "b", "c")]
    assert mermaid(steps) == "flowchart LR\n    a --> b\n    a --> c\n    b --> d\n    c --> d"
    assert log.names == []
