"""Results of a benchmark: printed rows, and a line of JSON with hardware, versions, date and commit, stored in a file.

The file is rewritten with every row, so a benchmark that is cut off leaves the rows that it has measured.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import math
import platform
import subprocess
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

RESULTS_FOLDER = Path(__file__).parents[1] / "results"
PACKAGES = ("torch", "triton", "numpy", "nnAudio", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of all GPU benchmarks."""
    argument_parser = argparse.ArgumentParser(description=description)
    argument_parser.add_argument(
        "--toy",
        action="store_true",
        help="run with tiny sizes on the CPU, to test the script; the times are meaningless",
    )
    argument_parser.add_argument(
        "--rounds", type=int, default=7, help="rounds of timing, of which the median is reported (default: 7)"
    )
    argument_parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS_FOLDER,
        help="folder for the line of JSON (default: tests/benchmarks/results)",
    )
    argument_parser.add_argument(
        "--commit",
        default="",
        help="commit of the code, for machines without git (default: the output of git describe)",
    )
    return argument_parser


def device_of(options: argparse.Namespace) -> torch.device:
    """Return the GPU, or with `--toy` the CPU.

    Raises:
        SystemExit: there is no GPU, and a time of the CPU must not be taken for one of a GPU.
    """
    if options.toy:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device was found; --toy tests the script on a CPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def missing(*modules: str) -> str:
    """Return a message that names the modules that are not installed, or an empty string."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


class BenchmarkResults:
    """Rows of one benchmark."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self._options, self._environment = name, options, _environment(options)
        self._rows: list[dict[str, Any]] = []

    def add(self, title: str, **values: Any) -> None:
        """Print a row and store it."""
        rounded = {key: _rounded(value) for key, value in values.items()}
        self._rows.append({"what": title, **rounded})
        print(f"{title:44}" + "".join(f"  {key} {value}" for key, value in rounded.items()), flush=True)
        self._store()

    def skip(self, title: str, reason: str) -> None:
        """Print and store a row that could not be measured, with the reason."""
        self.add(title, skipped=reason)

    def attempt(self, title: str, measure: Callable[[], object]) -> bool:
        """Call `measure` and return whether it succeeded. After an error, add a row with the reason."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001 -- a missing compiler, memory or kernel must not stop the other rows
            traceback.print_exc()
            self.skip(title, f"{type(error).__name__}: {str(error)[:200]}")
            return False
        return True

    def finish(self) -> None:
        """Print the line of JSON and store it. Results of `--toy` are stored only with `--out`."""
        self._store()
        print(self._line())

    def _store(self) -> None:
        if not (self._options.toy and self._options.out == RESULTS_FOLDER):
            self._options.out.mkdir(parents=True, exist_ok=True)
            (self._options.out / f"{self.name}.json").write_text(self._line() + "\n")

    def _line(self) -> str:
        return json.dumps({"benchmark": self.name, **self._environment, "rows": self._rows})


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _environment(options: argparse.Namespace) -> dict[str, Any]:
    cuda = torch.cuda.is_available() and not options.toy
    return {
        "toy": options.toy,
        "hardware": torch.cuda.get_device_name() if cuda else platform.machine(),
        "driver": _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]) if cuda else None,
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda, **_versions(PACKAGES)},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": options.commit or _first_line(["git", "describe", "--always", "--dirty"]) or "unknown",
    }


def _versions(names: Sequence[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _first_line(command: Sequence[str]) -> str:
    try:
        process = subprocess.run(command, cwd=RESULTS_FOLDER.parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.split("\n")[0]
