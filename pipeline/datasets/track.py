"""A track: a recording, or one clip of it, as a dataset lists it before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.audio.remote import AudioPath
from stores.errors import InvalidInput

SPLITS = ("", "train", "valid", "test")
CUT_SLACK_SECONDS: Mapping[str, float] = {"audioset": 1.0}
"""Seconds, by dataset, by which a recording may be longer than its clip and still be the clip, already cut.

In all other datasets, a clip is always cut from its recording. Codecs pad by up to 0.1 s (MP3 1,105 and AAC 2,112
samples, then the rest of a packet), and tools that cut without encoding again cut between packets."""


@dataclass(frozen=True)
class Track:
    """One recording, or one clip of it, with the metadata of its dataset."""

    id: str
    """Name that is unique within the dataset and the same on every machine, such as the path below the root."""
    path: AudioPath
    """File that holds the audio."""
    group: str
    """Name shared by clips that must be in one split and are resampled together, such as a piece, song or artist."""
    split: str = ""
    """`train`, `valid` or `test`. Empty if the dataset has no splits."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by task, such as `{"genre": "chorale", "key": "F# minor"}`. Tasks without a label are left out."""
    member: str = ""
    """Name in an archive or row number in a Parquet file, if `path` is such a container. Empty for an audio file."""
    cut_start_seconds: float = 0.0
    """Start of the clip in the recording."""
    cut_seconds: float = 0.0
    """Length of the clip. 0 means that the clip ends with the recording."""
    bound_seconds: float = 0.0
    """Upper bound of the recording's length, if the dataset states one, so that no header must be read. Else 0.

    For a clip with `cut_seconds`, the upper bound of the clip's length, if it may be longer than its cut."""
    semitones: int = 0
    """Transposition of the recording in semitones, upward if positive. Its length does not change."""

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidInput(f"the track id of {self.path} is empty; give every track an id")
        if self.split not in SPLITS:
            raise InvalidInput(f"the split of track {self.id!r} must be one of {SPLITS} (got {self.split!r})")
        if not (0 <= self.cut_start_seconds < math.inf and 0 <= self.cut_seconds < math.inf):
            raise InvalidInput(
                f"the start and length of track {self.id!r} must be finite and not negative "
                f"(got {self.cut_start_seconds} s and {self.cut_seconds} s)"
            )
