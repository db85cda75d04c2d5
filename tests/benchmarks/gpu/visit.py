"""A visit to a machine with a GPU: the measurements of one lent call, each under its own time limit.

    python tests/benchmarks/gpu/visit.py a --out DIR     does it run, is it right, how fast is Base (210 s)
    python tests/benchmarks/gpu/visit.py b --out DIR     three encoders, baselines, products, parity, profile (500 s)

What a part prints goes to DIR/PART.txt while it runs, and its results to DIR/SCRIPT.json, so a visit that is cut off
leaves what it has measured. A part that fails or takes too long is a line of the table at the end, and the next part
begins. `--toy` runs everything on a CPU with tiny sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PARITY = (
    "tests/model/training/test_graph.py",
    "tests/model/encoder/kernels/test_kernels.py",
    "tests/model/objectives/kernels/test_repulsion.py",
    "tests/model/objectives/kernels/test_log_normalizers.py",
)
OTHER_PARITY = (
    "tests/model/encoder/test_fused.py",
    "tests/model/encoder/kernels/test_products.py",
    "tests/model/objectives/test_objective.py",
    "tests/model/objectives/kernels/test_comparisons.py",
    "tests/model/training/test_batch_prefetch.py",
    "tests/model/training/test_data_location.py",
)
TOY_PATIENCE = 4
"""Factor of all limits with --toy, because a CPU interprets the kernels."""
PYTEST = ("-m", "pytest", "-q", "-n", "8", "-m", "not slow", "-o", "filterwarnings=")


@dataclass(frozen=True)
class Part:
    """One command of a visit."""

    name: str
    """Name of its line and of its file."""
    words: tuple[str, ...]
    """Words after the interpreter. A script of this folder is named alone."""
    limit_seconds: int
    """Time after which it is ended."""
    has_toy: bool = True
    """Whether it takes --toy and --out; other parts run as they are."""


VISITS = {
    "a": (
        Part("step-base", ("step.py", "--encoders", "base", "--rounds", "3"), 110),
        Part("parity", (*PYTEST, *PARITY), 95, has_toy=False),
    ),
    "b": (
        Part("step", ("step.py",), 120),
        Part("ceilings", ("ceilings.py",), 60),
        Part("step-baselines", ("step.py", "--baselines", "--encoders", "base"), 170),
        Part("other-parity", (*PYTEST, *OTHER_PARITY), 90, has_toy=False),
        Part("mel", ("mel.py",), 20),
        Part("profile", ("step.py", "--encoders", "base", "--rounds", "1"), 40),
    ),
}
"""Parts of both visits, in their order. The profile runs under ncu where it is installed."""
NCU = ("ncu", "--set", "basic", "--kernel-name", "regex:_linear|_backward", "--launch-count", "20")


@dataclass(frozen=True)
class Outcome:
    """How a part ended."""

    part: Part
    """The part."""
    status: str
    """`done`, `failed (STATUS)`, `ended after N s`, or why it did not begin."""
    seconds: float
    """Time that it took."""


def command(part: Part, out: Path, toy: bool) -> list[str] | None:
    """Return the command line of a part, or None if it needs a program that is not here."""
    words = [sys.executable, *part.words]
    if part.words[0].endswith(".py"):
        words[1] = str(HERE / part.words[0])
    if toy:
        words = ["2" if word == "8" else word for word in words]  # processes of pytest
    if part.has_toy:
        words += ["--out", str(out / part.name), *(["--toy"] if toy else [])]
    if part.name == "profile":
        return [*NCU, *words] if shutil.which("ncu") else None
    return words


def run(part: Part, out: Path, toy: bool) -> Outcome:
    """Run a part with its output in a file, and end it with all its processes at its limit."""
    words, start = command(part, out, toy), time.monotonic()
    limit_seconds = part.limit_seconds * (TOY_PATIENCE if toy else 1)
    if words is None:
        return Outcome(part, "not begun: ncu is not installed", 0.0)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (out / f"{part.name}.txt").open("w") as file:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Outcome(part, f"ended after {limit_seconds} s", time.monotonic() - start)
    return Outcome(part, "done" if status == 0 else f"failed ({status})", time.monotonic() - start)


def main() -> int:
    """Run a visit and print a table. The status is 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("visit", choices=sorted(VISITS), help="which of the two visits")
    parser.add_argument("--out", type=Path, required=True, help="folder for results and output")
    parser.add_argument("--toy", action="store_true", help="tiny sizes on the CPU, to test the script")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for part in VISITS[options.visit]:
        outcomes.append(run(part, options.out.resolve(), options.toy))
        last = outcomes[-1]
        print(f"{part.name:<16}{last.seconds:6.0f} s  {last.status}", flush=True)
    rows = [{"part": one.part.name, "status": one.status, "seconds": round(one.seconds, 1)} for one in outcomes]
    (options.out / f"visit-{options.visit}.json").write_text(json.dumps(rows) + "\n")
    return int(any(one.status.startswith(("failed", "ended")) for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
