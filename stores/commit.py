"""The one place where a file becomes visible: write beside it, fsync, rename.

A reader sees the old file, the new file or none, never half of one; a kill leaves at most a `.NAME.tmp-PID` beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stores.errors import CorruptArtifact

_LEFT_OVER = re.compile(r"^\..+\.tmp-[\d-]+$|\.[0-9a-f]{32}\.partial$")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; on leaving without an error it becomes `path`.

    Whoever writes it, the file gets the permissions that the umask leaves: safetensors, for one, writes for its owner
    alone.

    Raises:
        OSError: from the file system (full, read-only); `path` is then as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.tmp-{os.getpid()}"
    try:
        usual = _usual_mode(temporary)
        yield temporary
        temporary.chmod(usual)
        synced(temporary)
        temporary.replace(path)
        synced(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _usual_mode(path: Path) -> int:
    """Permissions that a new file at `path` gets; asking for the umask would change it for all threads for a moment."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed writers left in `folder` and below; only for who knows that nobody is writing there now.

    Ours are called `.NAME.tmp-PID`, Zarr's end in `.partial`.
    """
    for path in [path for path in folder.rglob("*") if _LEFT_OVER.search(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Content of a file that should be small.

    Raises:
        CorruptArtifact: it is not; nothing of it was read.
        OSError: from the file system.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise CorruptArtifact(f"{path} has {size} bytes; more than {most_bytes} it should not have")
    return path.read_bytes()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented UTF-8 JSON to `path` atomically."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def synced(path: Path) -> None:
    """Wait until what was written to a file, or which names a folder holds, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
