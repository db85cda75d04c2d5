"""A workflow: commands and their dependencies, as a Dask graph that can be run and drawn.

Every command continues where it stopped, so a workflow that was interrupted is simply started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask
from dask.delayed import Delayed

from stores.errors import STATUS_INTERRUPTED, STATUS_STOPPED, MynaError, StepStopped
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


def graph(steps: Sequence[Step]) -> Delayed:
    """Return the steps as a Dask graph, each under its name. A step must come after those that it waits for.

    Raises:
        KeyError: a step waits for one that does not come before it.
    """
    nodes: dict[str, Delayed] = {}
    for step in steps:
        waits = [nodes[name] for name in step.after]
        nodes[step.name] = dask.delayed(_run, pure=False)(step, waits, dask_key_name=step.name)
    waited_for = {name for step in steps for name in step.after}
    last = [nodes[step.name] for step in steps if step.name not in waited_for]
    return dask.delayed(list, pure=False)(last, dask_key_name="workflow")


def run(steps: Sequence[Step]) -> None:
    """Run the graph of `steps`, one step at a time.

    Raises:
        StepFailed: a step ended with an error. What was finished is kept.
        StepStopped: a step was stopped by Ctrl-C or by a signal.
    """
    graph(steps).compute(scheduler="synchronous")


def mermaid(steps: Sequence[Step]) -> str:
    """Return the graph of `steps` as a Mermaid flow chart, from the dependencies of the Dask graph."""
    arrows = graph(steps).__dask_graph__().get_all_dependencies()
    order = [step.name for step in steps]
    lines = [f"    {before} --> {after}" for after in order for before in order if before in arrows[after]]
    return "\n".join(["flowchart LR", *lines])


def _run(step: Step, _waits: Sequence[Any]) -> str:
    print_progress(f"\n== {step.name}")
    start = time.perf_counter()
    status = step.main(step.arguments)
    if status in (STATUS_INTERRUPTED, STATUS_STOPPED):
        raise StepStopped(status)
    if status:
        raise StepFailed(
            f"step {step.name!r} ended with status {status}; fix the error above and start the same command again"
        )
    print_progress(f"   {step.name}: {time.perf_counter() - start:.1f} s")
    return step.name
