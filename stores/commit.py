"""Atomic writes: write a temporary file beside the target, flush it to disk, and rename it.

A reader sees the old file, the new file or no file, and never an incomplete one. A killed process leaves at most a file
`.NAME.tmp-PID` beside the target.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stores.errors import CorruptArtifact

_PROCESS_ID = re.compile(r"\.tmp-(\d+)")
_TEMPORARY_NAME = re.compile(r"^\..+\.tmp-[\d-]+$|\.[0-9a-f]{32}\.partial$")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, and rename it to `path` if the block raises no error.

    The file gets the permissions that the umask allows, whichever library writes it. For example, safetensors creates
    files that only their owner can read.

    Raises:
        OSError: from the file system, which may be full or read-only. `path` is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.tmp-{os.getpid()}"
    try:
        mode = _default_mode(temporary)
        yield temporary
        temporary.chmod(mode)
        sync_to_disk(temporary)
        temporary.replace(path)
        sync_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _default_mode(path: Path) -> int:
    """Return the permissions of a new file at `path`. Reading the umask would change it briefly for all threads."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def remove_temporary_files(folder: Path, *, recursive: bool = True, spares_running: bool = False) -> None:
    """Remove the temporary files of killed processes in `folder`, and below it if `recursive`.

    Files of `atomic_write` are called `.NAME.tmp-PID`. The temporary files of Zarr end in `.partial`.

    Args:
        folder: folder in which no process may be writing, unless `spares_running`.
        recursive: look into the folders in `folder` too.
        spares_running: keep the files of processes that still run on this host, and those without a process id.
    """
    paths = folder.rglob("*") if recursive else folder.glob("*")
    for path in [path for path in paths if _TEMPORARY_NAME.search(path.name)]:
        if spares_running and _may_be_written(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` itself that killed processes have left beside it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.tmp-*"):
        if _TEMPORARY_NAME.search(leftover.name) and not _may_be_written(leftover.name):
            leftover.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Return whether this host has a process with this id."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process belongs to another user
        return True
    return True


def _may_be_written(name: str) -> bool:
    """Return whether another process that still runs may be writing a temporary file."""
    match = _PROCESS_ID.search(name)
    return match is None or (int(match[1]) != os.getpid() and is_running(int(match[1])))


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that should be small.

    Raises:
        CorruptArtifact: the file has more than `max_bytes` bytes. Nothing was read.
        OSError: from the file system.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise CorruptArtifact(f"{path} has {size} bytes; at most {max_bytes} are accepted")
    return path.read_bytes()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented UTF-8 JSON to `path` atomically."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def sync_to_disk(path: Path) -> None:
    """Flush a file or the entries of a folder to disk, so that they survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
