"""A workflow: commands and what each waits for, as a Dask graph that can be run and drawn.

Every command is restartable by itself, so a workflow that was killed is started again and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask
from dask.delayed import Delayed

from stores.errors import MynaError, StepStopped

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C stopped."""


@dataclass(frozen=True)
class Step:
    """One command of a workflow."""

    name: str
    """Unique in the workflow."""
    main: Callable[[Sequence[str]], int]
    """The command's `main`: arguments in, exit status out."""
    arguments: tuple[str, ...]
    """Its arguments."""
    after: tuple[str, ...] = ()
    """Steps that must have succeeded before."""


class StepFailed(MynaError):
    """A command of a workflow ended with an error, which it has told."""


def graph(steps: Sequence[Step]) -> Delayed:
    """All of `steps` as a Dask graph, each under its name; steps stand after those they wait for.

    Raises:
        KeyError: a step waits for one that does not stand before it.
    """
    made: dict[str, Delayed] = {}
    for step in steps:
        waits = [made[name] for name in step.after]
        made[step.name] = dask.delayed(_run, pure=False)(step, waits, dask_key_name=step.name)
    waited_for = {name for step in steps for name in step.after}
    last = [made[step.name] for step in steps if step.name not in waited_for]
    return dask.delayed(list, pure=False)(last, dask_key_name="workflow")


def run(steps: Sequence[Step]) -> None:
    """Run the graph of `steps`, one step at a time.

    Raises:
        StepFailed: naming the step; what was finished is kept.
        StepStopped: if Ctrl-C stopped a step.
    """
    graph(steps).compute(scheduler="synchronous")


def mermaid(steps: Sequence[Step]) -> str:
    """The graph of `steps` as a Mermaid flow chart, read off the Dask graph itself."""
    arrows = graph(steps).__dask_graph__().get_all_dependencies()
    order = [step.name for step in steps]
    lines = [f"    {before} --> {after}" for after in order for before in order if before in arrows[after]]
    return "\n".join(["flowchart LR", *lines])


def _run(step: Step, _waits: Sequence[Any]) -> str:
    print(f"\n== {step.name}", flush=True)
    start = time.perf_counter()
    status = step.main(step.arguments)
    if status == INTERRUPTED:
        raise StepStopped
    if status:
        raise StepFailed(f"step {step.name!r} ended with status {status}; mend it and start again")
    print(f"   {step.name}: {time.perf_counter() - start:.1f} s", flush=True)
    return step.name
