"""A workflow: commands and their dependencies, as a Dask graph that can be run and drawn.

Every command continues where it stopped, so a workflow that was interrupted is simply started again.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask
from dask.delayed import Delayed

from stores.errors import STATUS_HUNG_UP, STATUS_INTERRUPTED, STATUS_STOPPED, MynaError, StepStopped
from stores.json_output import collect, print_json
from stores.terminal import print_progress


@dataclass(frozen=True)
class Step:
    """One command of a workflow."""

    name: str
    """Name, unique in the workflow."""
    main: Callable[[Sequence[str]], int]
    """The `main` of the command, which takes arguments and returns an exit status."""
    arguments: tuple[str, ...]
    """Arguments of the command."""
    after: tuple[str, ...] = ()
    """Names of the steps that must succeed before this one starts."""


class StepFailed(MynaError):
    """A command of a workflow ended with an error, which it has printed."""


class Results:
    """Results of the steps of a workflow by name: their seconds and the objects that they print with --json.

    Args:
        collects: run every command with --json.
    """

    def __init__(self, collects: bool) -> None:
        self.collects = collects
        self.steps: dict[str, dict[str, Any]] = {}


def graph(steps: Sequence[Step], results: Results | None = None) -> Delayed:
    """Return the steps as a Dask graph, each under its name. A step must come after those that it waits for.

    Args:
        steps: the steps in order.
        results: the results of the steps are added to it.

    Raises:
        KeyError: a step waits for one that does not come before it.
    """
    nodes: dict[str, Delayed] = {}
    for step in steps:
        waits = [nodes[name] for name in step.after]
        command = functools.partial(_run, results=results or Results(False))
        nodes[step.name] = dask.delayed(command, pure=False)(step, waits, dask_key_name=step.name)
    waited_for = {name for step in steps for name in step.after}
    last = [nodes[step.name] for step in steps if step.name not in waited_for]
    return dask.delayed(list, pure=False)(last, dask_key_name="workflow")


def run(steps: Sequence[Step], as_json: bool = False) -> dict[str, dict[str, Any]]:
    """Run the graph of `steps`, one step at a time, and return what they say by name.

    Args:
        steps: the steps in order.
        as_json: run every command with --json, and return its object under `result`.

    Raises:
        StepFailed: a step ended with an error. What was finished is kept.
        StepStopped: a step was stopped by Ctrl-C or by a signal.
    """
    results = Results(as_json)
    graph(steps, results).compute(scheduler="synchronous")
    return results.steps


def print_graph(steps: Sequence[Step], as_json: bool = False) -> None:
    """Print the graph of `steps` as a Mermaid flow chart, or as an object with it."""
    if as_json:
        print_json({"mermaid": mermaid(steps)})
    else:
        print(mermaid(steps))


def mermaid(steps: Sequence[Step]) -> str:
    """Return the graph of `steps` as a Mermaid flow chart, from the dependencies of the Dask graph."""
    arrows = graph(steps).__dask_graph__().get_all_dependencies()
    order = [step.name for step in steps]
    lines = [f"    {before} --> {after}" for after in order for before in order if before in arrows[after]]
    return "\n".join(["flowchart LR", *lines])


def _run(step: Step, _waits: Sequence[Any], results: Results) -> str:
    print_progress(f"\n== {step.name}")
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        objects = stack.enter_context(collect()) if results.collects else []
        status = step.main(("--json", *step.arguments) if results.collects else step.arguments)
    if status in (STATUS_INTERRUPTED, STATUS_STOPPED, STATUS_HUNG_UP):
        raise StepStopped(status)
    if status:
        raise StepFailed(
            f"step {step.name!r} ended with status {status}; fix the error above and start the same command again"
        )
    seconds = time.perf_counter() - start
    results.steps[step.name] = {"seconds": round(seconds, 1), **({"result": objects[-1]} if objects else {})}
    print_progress(f"   {step.name}: {seconds:.1f} s")
    return step.name
