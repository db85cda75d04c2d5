"""The folder of a dataset's audio: a local folder, or a URL on remote storage."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.audio.remote import AudioPath, RemotePath, audio_path, is_url
from stores import locations
from stores.errors import InvalidInput


def locate(dataset: str, root: str | Path | None) -> AudioPath:
    """Return the folder of the audio of `dataset`: `root`, or a folder of its name below `$MYNA_DATA` or `data`.

    Raises:
        InvalidInput: it is a URL that cannot be read.
    """
    data = os.environ.get("MYNA_DATA", "")
    if root is None and is_url(data):
        return audio_path(f"{data.rstrip('/')}/{dataset}")
    return audio_path(root or locations.data_root(dataset))


def require_local(root: AudioPath) -> Path:
    """Return the root of a dataset that is read from local folders only.

    Raises:
        InvalidInput: the root is on remote storage.
    """
    if isinstance(root, RemotePath):
        raise InvalidInput(
            f"this dataset is not read from {root}; download it and use --root with its folder. Remote storage is "
            f"read by folder, gtzan, magnatagatune, giantsteps, giantsteps_mtg, emomusic, mtg_jamendo and fma"
        )
    return root
