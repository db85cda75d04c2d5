"""A track: one recording that a dataset names, or one clip cut out of it, before anything of it is decoded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stores.errors import InvalidInput

SPLITS = ("", "train", "valid", "test")


@dataclass(frozen=True)
class Track:
    """One recording, or one clip of it, and what its dataset says of it."""

    id: str
    """Unique within the dataset and the same on every machine, e.g. the path below the root with `/`."""
    path: Path
    """The file that holds the audio now."""
    group: str
    """What must never stand in two splits and is resampled as one by the bootstrap: a piece, a song, an artist."""
    split: str = ""
    """`train`, `valid` or `test`; empty where the dataset has no splits."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Task name to label, e.g. `{"genre": "chorale", "key": "F# minor"}`; a task without a label is left out."""
    member: str = ""
    """Where in `path` the audio lies: the name in a tar, the row number in a Parquet file; empty for an audio file."""
    cut_start_seconds: float = 0.0
    """Where in the recording the clip starts."""
    cut_seconds: float = 0.0
    """Length of the clip; 0 for all that follows the start."""
    bound_seconds: float = 0.0
    """Upper bound of the recording's length where the dataset states one, so that no header need be read; else 0."""

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidInput(f"track id is empty for {self.path}; give every track an id")
        if self.split not in SPLITS:
            raise InvalidInput(f"track {self.id!r} has split {self.split!r}; use one of {SPLITS}")
        if not all(0 <= seconds < math.inf for seconds in (self.cut_start_seconds, self.cut_seconds)):
            raise InvalidInput(
                f"track {self.id!r} is cut at {self.cut_start_seconds} s for {self.cut_seconds} s; both must be finite "
                f"and not negative"
            )
