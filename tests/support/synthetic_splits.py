"""Split metadata of JukeMIR: synthetic files for tests, or the published files if the environment names them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from pipeline.datasets import jukemir


def write(monkeypatch, folder: Path, name: str, clips) -> Path:
    """Write `clips`, or uncompressed bytes, as the metadata file `name`, and return its folder.

    The expected digest of the file is replaced by the digest of what was written.
    """
    content = clips if isinstance(clips, bytes) else json.dumps(clips).encode()
    return write_packed(monkeypatch, folder, name, gzip.compress(content))


def write_packed(monkeypatch, folder: Path, name: str, packed: bytes) -> Path:
    """Write bytes that are already compressed, or invalid, as the metadata file `name`, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json.gz").write_bytes(packed)
    monkeypatch.setitem(jukemir.SHA256, name, hashlib.sha256(packed).hexdigest())
    return folder


def published() -> Path:
    """Return the folder of the published files; skip the test if the environment does not name it."""
    if not (folder := os.environ.get("MYNA_TEST_SPLITS")):
        pytest.skip("MYNA_TEST_SPLITS does not name a folder with JukeMIR's split metadata")
    return Path(folder)


def touch(root: Path, *names: str) -> None:
    """Create empty files with these names, and their folders."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
