"""The folder that an ingest writes: whether it holds a store of an earlier ingest, and whether it can be made one."""

from __future__ import annotations

import os
from pathlib import Path

from stores.errors import InvalidInput
from stores.mel_store import MANIFEST


def has_store(path: Path) -> bool:
    """Return whether an earlier ingest has made a store at `path`. An empty folder is as good as none.

    Raises:
        InvalidInput: there is something else at `path`, so that no store can be made there.
    """
    if (path / MANIFEST).exists():
        return True
    if path.is_symlink():
        raise InvalidInput(f"{path} is a link, and no mel store is there; use --store with the path of a new folder")
    if not path.exists():
        return False
    if not path.is_dir():
        raise InvalidInput(f"{path} is a file; use --store with the path of a new or empty folder")
    if any(path.iterdir()):
        raise InvalidInput(
            f"{path} holds files, but no mel store; use --store with the path of a new or empty folder. If it was a "
            f"mel store, its {MANIFEST} is lost: remove the folder, then ingest again"
        )
    if os.path.ismount(path):
        raise InvalidInput(f"{path} is a mount point, which cannot be replaced; use --store with a folder inside of it")
    return False
