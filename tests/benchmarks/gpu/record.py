"""What a benchmark leaves: a table, and one line of JSON with hardware, versions, date and commit, kept in a file.

The file is written anew with every row, so that who is cut off has what was measured.
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

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("torch", "triton", "numpy", "nnAudio", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options of every benchmark here."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--toy", action="store_true", help="tiny sizes, to see that it runs: no figure means anything")
    made.add_argument("--rounds", type=int, default=7, help="turns of which the median counts (7)")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON (tests/benchmarks/results)")
    made.add_argument("--commit", default="", help="of the code, where there is no git to ask")
    return made


def device_of(options: argparse.Namespace) -> torch.device:
    """The GPU, or with `--toy` the CPU; no figure of a CPU shall pass for one of a GPU."""
    if options.toy:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: --toy tries the script on a CPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def missing(*modules: str) -> str:
    """Why something that needs these modules cannot run, or nothing."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Record:
    """Rows of one benchmark."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self._options, self._facts = name, options, _facts(options)
        self._rows: list[dict[str, Any]] = []

    def add(self, what: str, **values: Any) -> None:
        """A row, printed and kept at once."""
        rounded = {key: _rounded(value) for key, value in values.items()}
        self._rows.append({"what": what, **rounded})
        print(f"{what:44}" + "".join(f"  {key} {value}" for key, value in rounded.items()), flush=True)
        self._keep()

    def skip(self, what: str, reason: str) -> None:
        """A row that could not be measured, and why."""
        self.add(what, skipped=reason)

    def attempt(self, what: str, measure: Callable[[], object]) -> bool:
        """Measure, or say what was in the way, so that one failure does not cost the rest; whether it went well."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001 -- no compiler, no memory, no kernel: all are told and passed over
            traceback.print_exc()
            self.skip(what, f"{type(error).__name__}: {str(error)[:200]}")
            return False
        return True

    def finish(self) -> None:
        """Print the line of JSON, last, and keep it; toys are not kept unless `--out` says where."""
        self._keep()
        print(self._line())

    def _keep(self) -> None:
        if not (self._options.toy and self._options.out == RESULTS):
            self._options.out.mkdir(parents=True, exist_ok=True)
            (self._options.out / f"{self.name}.json").write_text(self._line() + "\n")

    def _line(self) -> str:
        return json.dumps({"benchmark": self.name, **self._facts, "rows": self._rows})


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _facts(options: argparse.Namespace) -> dict[str, Any]:
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
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _first_line(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.split("\n")[0]
