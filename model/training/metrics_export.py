"""The metrics of runs in the formats of other tools.

    tensorboard   event files in runs/RUN/tensorboard/; `tensorboard --logdir runs` shows those of all runs
    csv           runs/RUN/metrics.csv, with a column for each metric

Both are written anew each time. A run may be finished or still training.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from model.training import metrics_log
from stores import csv_cells, extras, locations
from stores.command_line import CommandSettings
from stores.commit import write_bytes
from stores.errors import InvalidInput
from stores.json_output import print_json

Rows = Sequence[dict[str, Any]]
MetricsFormat = Literal["csv", "tensorboard"]
_NOT_METRICS = ("step", "unix_seconds")


@dataclass(frozen=True, kw_only=True)
class MetricsSettings(CommandSettings):
    """Convert the metrics of runs for TensorBoard or a spreadsheet. The files are written into the run's folder."""

    runs: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN", help_behavior_hint="(required)")]
    """Names of runs under runs/. They may be finished or still training."""
    to: MetricsFormat
    """Format: csv writes metrics.csv, tensorboard writes event files to tensorboard/ (needs the extra tensorboard)."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""


def export_metrics(settings: MetricsSettings) -> None:
    """Write the metrics of each run in the chosen format, and print the paths.

    Raises:
        InvalidInput: no run is named, a name is invalid, or TensorBoard is not installed.
        MissingArtifact: a run has no metrics.
        CorruptArtifact: a line of its metrics cannot be read.
    """
    if not settings.runs:
        raise InvalidInput("at least one run is needed; give names of runs under runs/")
    written = []
    for run in settings.runs:
        folder = locations.run(run)
        rows = metrics_log.read(folder)
        path = _WRITERS[settings.to](folder, rows)
        print(f"{path}: {len(rows)} lines of metrics")
        written.append({"run": run, "path": str(path), "lines": len(rows)})
    if settings.json:
        print_json({"metrics": written})


def _write_csv(folder: Path, rows: Rows) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writerow({name: csv_cells.escape(name) for name in columns})
    writer.writerows(rows)
    write_bytes(folder / "metrics.csv", text.getvalue().encode())
    return folder / "metrics.csv"


def _write_events(folder: Path, rows: Rows) -> Path:
    path, incomplete = folder / "tensorboard", folder / ".tensorboard.building"
    shutil.rmtree(incomplete, ignore_errors=True)
    with _summary_writer()(str(incomplete)) as writer:
        for row in rows:
            for name, value in row.items():
                if name not in _NOT_METRICS and isinstance(value, int | float):
                    writer.add_scalar(name, value, row["step"], walltime=row.get("unix_seconds"))
    shutil.rmtree(path, ignore_errors=True)
    incomplete.rename(path)
    return path


def _summary_writer() -> Callable[[str], Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput(f"TensorBoard is not installed; {extras.remedy('tensorboard')}, or use --to csv") from error
    return SummaryWriter


_WRITERS: dict[MetricsFormat, Callable[[Path, Rows], Path]] = {"csv": _write_csv, "tensorboard": _write_events}
