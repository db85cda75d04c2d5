"""The clips of a feature store that have the labels of a task, as columns.

A feature store may have millions of rows, so that nothing here builds an object for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stores import key_names, manifest
from stores.labels import is_empty_word
from stores.manifest import ClipRow

SPLITS = ("train", "valid", "test")
TAGS, KEY = "tags", "key"


@dataclass(frozen=True)
class LabeledClips:
    """Columns of the clips that have all labels of a task, in the order of the feature store."""

    rows: Sequence[ClipRow]
    """All rows of the feature store."""
    positions: NDArray[np.int64]
    """Position of each clip in `rows`, `[clips]`."""
    splits: Sequence[str]
    """Split of each clip."""
    groups: Sequence[str]
    """Group of each clip."""
    labels: Mapping[str, Sequence[str]]
    """Label of each clip, by the name of the label."""

    @classmethod
    def select(cls, rows: Sequence[ClipRow], names: Sequence[str]) -> tuple[LabeledClips, int]:
        """Return the clips that have values for all labels, and the number of others whose label is no value."""
        labels = [manifest.label_values(rows, name) for name in names]
        splits, groups = (manifest.values_of(rows, name) for name in ("split", "group"))
        carriers = [
            i for i, split in enumerate(splits) if split in SPLITS and all(column[i] is not None for column in labels)
        ]
        chosen = [
            i for i in carriers if all(has_value(name, column[i]) for name, column in zip(names, labels, strict=True))
        ]
        columns = {name: [column[i] or "" for i in chosen] for name, column in zip(names, labels, strict=True)}
        positions = np.array(chosen, np.int64)
        clips = cls(rows, positions, [splits[i] for i in chosen], [groups[i] for i in chosen], columns)
        return clips, len(carriers) - len(chosen)

    def recordings(self, places: NDArray[np.int64]) -> list[tuple[str, str, int]]:
        """Return the source, the member and the transposition of the clips at `places` `[chosen]`."""
        columns = [manifest.values_of(self.rows, name) for name in ("source", "member", "semitones")]
        return [(columns[0][i], columns[1][i], columns[2][i]) for i in self.positions[places].tolist()]

    def clip_id(self, place: int) -> str:
        """Return the id of the clip at a place, for an error."""
        return self.rows[int(self.positions[place])].id


@lru_cache(65_536)
def has_value(name: str, label: str | None) -> bool:
    """Return whether a label is a value.

    A clip without a tag has the empty label `tags`. A choice between keys, such as `8A or 9A`, is no value.
    """
    if label is None or (is_empty_word(label) and not (name == TAGS and not label)):
        return False
    return name != KEY or len(key_names.parse_keys(label)) < 2
