"""A track: one recording that a dataset names, before anything of it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stores.errors import InvalidInput

SPLITS = ("", "train", "valid", "test")


@dataclass(frozen=True)
class Track:
    """One recording and what its dataset says of it."""

    id: str
    """Unique within the dataset and the same on every machine, e.g. the path below the root with `/`."""
    path: Path
    """Where the audio lies now."""
    group: str
    """What must never stand in two splits and is resampled as one by the bootstrap: a piece, a song, an artist."""
    split: str = ""
    """`train`, `valid` or `test`; empty where the dataset has no splits."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Task name to label, e.g. `{"genre": "chorale", "key": "F# minor"}`; a task without a label is left out."""

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidInput(f"track id is empty for {self.path}; give every track an id")
        if self.split not in SPLITS:
            raise InvalidInput(f"track {self.id!r} has split {self.split!r}; use one of {SPLITS}")
