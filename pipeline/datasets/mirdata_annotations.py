"""Annotations of the tracks of mirdata, as text.

The loaders of mirdata raise whatever the libraries raise that parse a file, so every error of theirs is caught here.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stores.errors import CorruptArtifact
from stores.labels import EMPTY_WORDS, SEPARATOR

LABELS = {
    "genre": ("genre", "broad_genre", "style"),
    "genres": ("genres",),
    "key": ("key",),
    "key_mode": ("key_mode",),
    "tempo": ("tempo", "tempo_v2"),
    "tags": ("tags", "mb_tags"),
    "instrument": ("instrument", "instrument_full", "instruments"),
    "raga": ("raga", "raaga", "raag"),
    "tala": ("tala", "taala", "taal"),
    "makam": ("makam",),
    "tonic": ("tonic",),
    "mode": ("mode",),
    "effect": ("effect", "fx_type"),
    "technique": ("technique_full", "stroke_name"),
    "pitch_class": ("pitch_reference",),
    "beat_type": ("beat_type",),
    "time_signature": ("time_signature",),
    "difficulty": ("difficulty_annotation",),
}
"""Attributes of a track, by task, that become labels if their value is text, a number, or a list of them."""


@dataclass
class Annotations:
    """The annotations of the tracks of one dataset, and counts of those whose files are missing."""

    tracks: Mapping[str, Any]
    """Tracks of mirdata by id."""
    audio: Mapping[str, Path]
    """Audio files by id."""
    missing: Counter[str] = field(default_factory=Counter)
    """Number of tracks by task whose annotation is in a file that is not there."""

    def labels(self, track_id: str) -> dict[str, str]:
        """Return the labels of a track by task.

        Raises:
            CorruptArtifact: an annotation cannot be read.
        """
        labels = {}
        for task, names in LABELS.items():
            values = [self._value(track_id, name) for name in names]
            if text := next(filter(None, (text_of(value) for value in values)), ""):
                labels[task] = text
            else:
                self.missing[task] += any(value is _MISSING for value in values)
        return labels

    def text(self, track_id: str, name: str) -> str:
        """Return an attribute of a track as text, or empty text if there is none or its file is missing.

        Raises:
            CorruptArtifact: the annotation cannot be read.
        """
        return text_of(self._value(track_id, name))

    def count_missing(self, task: str, names: Sequence[str]) -> None:
        """Count the tracks for which the file of any of these attributes is missing."""
        self.missing[task] += sum(
            any(self._value(track_id, name) is _MISSING for name in names) for track_id in self.tracks
        )

    def counts(self) -> dict[str, int]:
        """Return the number of tracks whose annotations are missing, by description."""
        described = ((f"clips without {task}, because its file is missing", n) for task, n in self.missing.items())
        return {description: count for description, count in described if count}

    def _value(self, track_id: str, name: str) -> Any:
        """Return an attribute, None if the dataset has no such attribute, or `_MISSING` if its file is missing."""
        track = self.tracks[track_id]
        if not hasattr(type(track), name) and name not in vars(track):
            return None
        try:
            with warnings.catch_warnings():  # some loaders use what their libraries deprecate
                warnings.simplefilter("ignore")
                return getattr(track, name)
        except (FileNotFoundError, AttributeError):  # AttributeError: "This Track does not have metadata"
            return _MISSING
        except Exception as error:
            raise unreadable(f"{name} of track {track_id!r}", error) from error


_MISSING = object()
"""Stands for an annotation whose file is missing. As text it is empty."""


def unreadable(what: str, error: Exception) -> CorruptArtifact:
    """Return the error that says what cannot be read, and what the loader said. Some errors have no text."""
    return CorruptArtifact(f"{what} cannot be read by mirdata: {str(error) or type(error).__name__}")


def text_of(value: Any) -> str:
    """Return a value as a label. Words for no value, and types other than text, numbers and lists, give empty text."""
    if isinstance(value, dict):  # of the genres and subgenres of Beatport, for example, the genres
        value = next(iter(value.values()), "")
    if isinstance(value, list | tuple):
        return SEPARATOR.join(dict.fromkeys(text for item in _flat(value) if (text := text_of(item))))
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return ""
    if isinstance(value, numbers.Real) and not math.isfinite(value):
        return ""
    text = str(value).strip().replace(SEPARATOR, "/")
    return "" if text.casefold() in EMPTY_WORDS else text


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
