"""A machine with a GPU, simulated without the GPU: its Python packages and both visits at toy sizes.

    python tests/benchmarks/gpu/simulated_machine.py FOLDER --python python3.12

FOLDER gets a virtual environment with the PyTorch and the Triton of such a machine (about 5 GB), the packages of its
image, and the wheels that travel, and nothing else. In it, the tracked files run as they would run there: the names of
PyTorch and Triton that the code uses are looked up, and `visit.py a` and `visit.py b` run with `--toy`. The kernels run
in Triton's interpreter. A second run keeps the environment. The status is 1 if a name is missing or a part fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from installation import IMAGE, TORCH, TRITON, WHEELS  # noqa: E402

OTHERS = ("torch", "triton", "numpy", "nvidia")
"""Beginnings of the names of packages whose versions are not those of constraints.txt."""
INTERPRETED_NUMPY = "numpy<2.4"
"""NumPy with which the interpreter of Triton 3.6 works, see docs/gpu.md."""


def build(folder: Path, python: str) -> Path:
    """Build the environment if it is not there, and return its interpreter."""
    interpreter = folder / "environment" / "bin" / "python"
    if (folder / "complete").exists():
        return interpreter
    subprocess.run([python, "-m", "venv", str(folder / "environment")], check=True)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = folder / "constraints.txt"
    pinned.write_text("".join(f"{line}\n" for line in lines if not line.lower().startswith(OTHERS)))
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--constraint", str(pinned)]
    subprocess.run([*install, f"torch=={TORCH}", f"triton=={TRITON}", INTERPRETED_NUMPY, *IMAGE], check=True)
    subprocess.run([*install, "--no-deps", *WHEELS], check=True)
    (folder / "complete").touch()
    return interpreter


def copy_tracked_files(folder: Path) -> Path:
    """Copy the files that git tracks, as they are in the working tree, and return the folder of the copy."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    copy = folder / "repository"
    copy.mkdir(parents=True, exist_ok=True)
    archive = subprocess.Popen(
        ["tar", "c", "--null", "-T", "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with archive, subprocess.Popen(["tar", "x"], cwd=copy, stdin=archive.stdout):
        assert archive.stdin is not None
        archive.stdin.write(listed)
        archive.stdin.close()
    return copy


def find_names(keep: bool) -> int:
    """Print the names that the installed libraries lack, and keep the list of all names if there are none."""
    from used_names import KEPT, unknown_names, used_names

    names = used_names()
    unknown = unknown_names(names)
    print(f"{len(names)} names of PyTorch and Triton are used, {len(unknown)} are missing: {', '.join(unknown)}")
    if keep and not unknown:
        KEPT.write_text("\n".join([f"# found in torch {TORCH} and triton {TRITON}", *names, ""]))
    return int(bool(unknown))


def main() -> int:
    """Build the machine, look up names and run both visits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder for the environment, a copy of the code, and results")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the machine's version (default: this)")
    parser.add_argument("--names", action="store_true", help="only look up names in the environment that runs this")
    options = parser.parse_args()
    if options.names:
        return find_names(keep=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = options.folder.resolve()
    interpreter, copy = build(folder, options.python), copy_tracked_files(folder)
    words = [str(interpreter), str(HERE / "simulated_machine.py"), str(folder), "--names"]
    status = subprocess.run(words, cwd=ROOT, check=False).returncode
    for visit in ("a", "b"):
        words = [str(interpreter), "tests/benchmarks/gpu/visit.py", visit, "--toy", "--out", str(folder / visit)]
        status |= subprocess.run(words, cwd=copy, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
