"""`python -m model.metrics RUN --to tensorboard`: what a run measured, for tools that people know.

    tensorboard   event files in runs/RUN/tensorboard/; look at all runs with `tensorboard --logdir runs`
    csv           runs/RUN/metrics.csv, a column for each value

Both are made anew each time, from a run that is finished or one that still trains.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.training import metrics_log
from stores import locations
from stores.commit import write_bytes
from stores.errors import InvalidInput, exit_status

Rows = Sequence[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.metrics", description="The metrics of runs, for TensorBoard or a spreadsheet."
    )
    parser.add_argument("runs", nargs="+", help="names of runs under runs/")
    parser.add_argument("--to", required=True, choices=sorted(_WRITERS), help="what they become")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _convert(options.runs, options.to))


def _convert(runs: Sequence[str], form: str) -> None:
    for run in runs:
        folder = locations.run(run)
        rows = metrics_log.read(folder)
        print(f"{_WRITERS[form](folder, rows)}: {len(rows)} lines of metrics")


def _to_csv(folder: Path, rows: Rows) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(folder / "metrics.csv", text.getvalue().encode())
    return folder / "metrics.csv"


def _to_tensorboard(folder: Path, rows: Rows) -> Path:
    path, building = folder / "tensorboard", folder / ".tensorboard.building"
    shutil.rmtree(building, ignore_errors=True)
    with _summary_writer()(str(building)) as writer:
        for row in rows:
            for name, value in row.items():
                if name not in ("step", "unix_seconds") and isinstance(value, int | float):
                    writer.add_scalar(name, value, row["step"], walltime=row.get("unix_seconds"))
    shutil.rmtree(path, ignore_errors=True)
    building.rename(path)
    return path


def _summary_writer() -> Callable[[str], Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput(
            "TensorBoard is not installed; `pip install -c constraints.txt -e '.[tensorboard]'`, or convert `--to csv`"
        ) from error
    return SummaryWriter


_WRITERS: dict[str, Callable[[Path, Rows], Path]] = {"csv": _to_csv, "tensorboard": _to_tensorboard}


if __name__ == "__main__":
    sys.exit(main())
