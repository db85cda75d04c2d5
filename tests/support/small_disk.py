"""A small file system, and a file that fills it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(path, size):
    """Mount a file system of `size` bytes at `path`; skip the test if this is not permitted."""
    path.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], capture_output=True)
    if mount.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mount.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def filled_disk(path, room):
    """Fill the file system at `path` but for `room` bytes."""
    filler = path / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(path).free - room)))
    try:
        yield
    finally:
        filler.unlink()
