"""The runs of a sweep on a Dask cluster: each worker trains, extracts and probes one value at a time.

The workers see the same files as this process. What they leave is what the steps of `dags.sweep` leave, which then
find everything done, and write the table.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cluster.client import connect
from pipeline.cluster.config import OptionalClusterSettings
from pipeline.cluster.tasks import run_all
from stores.errors import InvalidInput
from stores.labels import count_noun
from stores.progress import Progress


@dataclass(frozen=True)
class RunTask:
    """The commands of one run of a sweep."""

    name: str
    """Name of the run."""
    commands: tuple[tuple[str, ...], ...]
    """Words of each command: its module, for example `model.train`, and its arguments."""
    folder: Path
    """Working directory."""
    home: str
    """Value of MYNA_HOME, or empty text."""


@dataclass(frozen=True)
class RunOutcome:
    """The end of one run of a sweep."""

    name: str
    """Name of the run."""
    error: str = ""
    """Last line of the command that failed, or empty text."""


def run(tasks: Sequence[RunTask], settings: OptionalClusterSettings) -> None:
    """Run the commands of all runs on the cluster of the settings, and wait for all of them.

    Raises:
        InvalidInput: a command failed. The other runs are finished first. Or the cluster cannot be used.
    """
    assert settings.scheduler is not None, "a cluster was asked for"
    with connect(settings.scheduler, settings.workers, tls=settings.tls, single_thread=True) as client:
        results = run_all(client, run_commands, tasks)
        outcomes = list(Progress(results, total=len(tasks), desc="sweep", unit="run"))
    failed = sorted((outcome for outcome in outcomes if outcome.error), key=lambda outcome: outcome.name)
    if failed:
        raise InvalidInput(
            f"{count_noun(len(failed), 'run')} of {len(tasks)} failed, first {failed[0].name}: {failed[0].error}; "
            "start the same command again, which goes on with what is missing"
        )


def run_commands(task: RunTask) -> RunOutcome:
    """Run the commands of one run in processes of their own, until one fails."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {"MYNA_HOME": task.home} if task.home else {}
    for module, *words in task.commands:
        finished = subprocess.run(
            [sys.executable, "-m", module, *words, "--quiet"],
            cwd=task.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            lines = finished.stderr.strip().splitlines() or [f"{module} ended with status {finished.returncode}"]
            return RunOutcome(task.name, lines[-1].removeprefix("error: "))
    return RunOutcome(task.name)
