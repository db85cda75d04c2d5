"""Split metadata for tests: small and made up, then published by its digest; or the real files, if told where."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from pipeline.datasets import jukemir


def write(monkeypatch, folder: Path, name: str, clips) -> Path:
    """Write `clips`, or bytes to compress, as the file `name`, whose digest is then the published one; its folder."""
    content = clips if isinstance(clips, bytes) else json.dumps(clips).encode()
    return write_packed(monkeypatch, folder, name, gzip.compress(content))


def write_packed(monkeypatch, folder: Path, name: str, packed: bytes) -> Path:
    """The same of bytes that are already compressed, or are not what they should be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json.gz").write_bytes(packed)
    monkeypatch.setitem(jukemir.SHA256, name, hashlib.sha256(packed).hexdigest())
    return folder


def published() -> Path:
    """Folder of the real files; skips the test where the environment does not name it."""
    if not (folder := os.environ.get("MYNA_TEST_SPLITS")):
        pytest.skip("MYNA_TEST_SPLITS does not name a folder with JukeMIR's split metadata")
    return Path(folder)


def touch(root: Path, *names: str) -> None:
    """Empty files of these names, with their folders."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
