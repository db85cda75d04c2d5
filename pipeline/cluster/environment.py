"""The code and the packages of a process, which must be the same in all workers of a cluster.

A worker with another version of a decoder would write other mels into the same store without an error.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from distributed import Client, get_worker

from stores.errors import InvalidInput

Argument = TypeVar("Argument")
Result = TypeVar("Result")
PACKAGES = (
    *("av", "dask", "distributed", "miniaudio", "nnAudio", "numcodecs", "numpy", "pyarrow", "scipy", "soundfile"),
    *("soxr", "torch", "zarr"),
)
"""Packages that can change a value, or without which workers cannot talk to each other."""
WAIT_SECONDS = 300.0
"""Longest wait for the first worker of a cluster, in seconds."""
ROOT = Path(__file__).parents[2]
"""Folder of the code."""
_ROOMS = ("stores", "pipeline", "model", "dags")


@lru_cache(1)
def describe() -> dict[str, str]:
    """Return the version of Python and of each package, and a digest of the code of this project."""
    return {"Python": platform.python_version(), "code": _code_digest(), **{name: _version(name) for name in PACKAGES}}


def require_same(client: Client) -> None:
    """Check that all workers of a cluster have the code and the packages of this process.

    The first worker is waited for. Workers that join later are compared when they run their first task.

    Raises:
        InvalidInput: a worker differs, it cannot import this project, or there is none. The message names it.
    """
    try:
        client.wait_for_workers(1, timeout=WAIT_SECONDS)
    except TimeoutError as error:
        raise InvalidInput(
            f"the cluster has had no worker for {WAIT_SECONDS:g} s; start workers, and then the same command again"
        ) from error
    try:
        workers = client.run(describe)
    except Exception as error:
        raise InvalidInput(
            f"a worker of the cluster cannot run this code ({type(error).__name__}: {error}); start the workers in the "
            "environment of this command"
        ) from error
    for worker, other in workers.items():
        _compare(describe(), other, worker)


def run_if_same(own: Mapping[str, str], task: Callable[[Argument], Result], argument: Argument) -> Result:
    """Run a task on a worker, unless the worker differs from the command that has sent the task.

    Args:
        own: `describe()` of the command.
        task: function of one argument.
        argument: its argument.

    Raises:
        InvalidInput: the worker differs. The message names it.
    """
    _compare(own, describe(), get_worker().address)
    return task(argument)


def _compare(own: Mapping[str, str], other: Mapping[str, str], worker: str) -> None:
    """Check that a worker has the environment of the command.

    Raises:
        InvalidInput: it has not.
    """
    if differing := [name for name in own if other.get(name) != own[name]]:
        lines = ", ".join(f"{name} {other.get(name, 'unknown')} and {own[name]} here" for name in differing)
        raise InvalidInput(
            f"worker {worker} has another environment ({lines}); start all workers with the same code and packages"
        )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _code_digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for room in _ROOMS for path in (ROOT / room).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
