"""The map as a section of the page: the data that `map.js` reads, tables of the same, and figures of it.

For 3,000 clips, the data take 0.4 MB and the mels 3.8 MB as text. Each clip with sound takes 40 kB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.page import theme
from model.page.document import Section
from model.page.map import panels, sound, thumbnails
from model.page.map.class_names import ClassName, class_names
from model.page.map.class_table import class_table
from model.page.map.coloring import MAX_CLASSES, PLAIN, ColorEncoding, color_encodings
from model.page.map.mapped_clips import MAX_CLIPS, MappedClips
from model.page.map.neighbors import COUNT, Neighbors
from model.page.map.sound import Sound
from model.page.map.thumbnails import Thumbnails
from stores import manifest
from stores.errors import DigestMismatch
from stores.features import FeatureStore
from stores.mel_store import MelStore

MAX_PICTURES = 3_000
"""Clips with a picture of their mel, 1.3 kB each."""
_DIGITS = 4
_SCRIPTS = ("elements.js", "map_clips.js", "map_panel.js", "map.js")
_OTHER_PIECES = (
    " and of other pieces. Other excerpts and transpositions of the same piece are mostly the nearest clips, so they "
    "are only counted."
)


@dataclass(frozen=True)
class EmbeddingMap:
    """Everything that a map shows of its clips."""

    clips: MappedClips
    """Clips and their coordinates."""
    color_encodings: tuple[ColorEncoding, ...]
    """One color encoding for each label."""
    neighbors: Neighbors
    """Nearest neighbors by cosine in the embedding."""
    thumbnails: Thumbnails
    """Pictures of the mels."""
    sound: Sound
    """Sound of some clips."""
    sound_requested: int
    """Number of clips that should have sound."""

    @classmethod
    def build(
        cls, features: FeatureStore, store: MelStore, audio_clips: int = 0, max_clips: int = MAX_CLIPS
    ) -> EmbeddingMap:
        """Lay out clips of `features` and read what the page shows of them.

        Args:
            features: embeddings.
            store: mel store that the embeddings were computed from.
            audio_clips: number of clips with sound.
            max_clips: largest number of clips on the map.

        Raises:
            DigestMismatch: `store` contains other clips than `features`.
        """
        _require_same_clips(features, store)
        clips = MappedClips.select(features, max_clips)
        encodings = tuple(color_encodings(clips.rows))
        chosen = sound.spread(list(clips.panel), next(iter(encodings), None), audio_clips)
        return cls(
            clips,
            encodings,
            Neighbors.compute(clips.embeddings, [row.group for row in clips.rows]),
            Thumbnails.draw(store, [clips.rows[clip].index for clip in pictured_clips(len(clips.rows))]),
            Sound.read(store, clips.rows, chosen),
            len(chosen),
        )

    def section(self, title: str = "Map of the embeddings", name: str = "map") -> Section:
        """Return the section.

        Args:
            title: title of the section.
            name: start of the element ids, which tells several maps of one page apart.
        """
        content = {
            "data_id": f"{name}-data",
            "remarks": self.remarks(),
            "tables": [class_table(encoding, self.clips, self.neighbors) for encoding in self.color_encodings],
        }
        return Section(title, "map", content, data={f"{name}-data": self.data()}, scripts=_SCRIPTS, styles=("map.css",))

    def figures(self, colors: theme.Theme = theme.LIGHT) -> dict[str, dict[str, Any]]:
        """Return a Vega-Lite chart of the panels for each label by its name.

        Args:
            colors: theme of the colors. Its configuration must be passed to Vega when the figure is drawn.
        """
        return {
            encoding.name: panels.figure(self.clips, encoding, self.names(encoding), colors)
            for encoding in self.color_encodings
        }

    def names(self, encoding: ColorEncoding) -> list[list[ClassName]]:
        """Return the class names on each panel. Numbers (which have a scale) and tags have none."""
        if encoding.kind in ("numbers", "tags"):
            return [[] for _ in self.clips.splits]
        classes = np.array([members[0] if members else -1 for members in encoding.members], np.int64)
        names, panel = [mark.short_name or mark.name for mark in encoding.marks], self.clips.panel
        return [
            class_names(names, classes[panel == index], self.clips.coordinates[panel == index], self.clips.extent)
            for index in range(len(self.clips.splits))
        ]

    @property
    def grouped(self) -> bool:
        """True if several clips on the map belong to the same piece or song."""
        groups = [row.group for row in self.clips.rows if row.group]
        return len(set(groups)) < len(groups)

    def remarks(self) -> list[str]:
        """Return sentences on how the map was made."""
        scale = "All panels have the same scale. " if len(self.clips.splits) > 1 else ""
        remarks = [
            f"One t-SNE layout of {len(self.clips.rows):,} clips{self._shares()}, computed from their embeddings "
            f"scaled to length 1. {scale}Nearby dots are similar, but large distances mean little.",
            f"Neighbors are the {COUNT} nearest clips by cosine in the embedding, not on the map, among these clips"
            + (_OTHER_PIECES if self.grouped else "."),
        ]
        if self.sound_requested:
            remarks.append(self._sound_remark())
        carried = {name for row in self.clips.rows for name in row.labels}
        if left_out := sorted(carried - {encoding.name for encoding in self.color_encodings}):
            remarks.append(
                f"Labels without classes or with over {MAX_CLASSES} do not color dots: {', '.join(left_out)}."
            )
        return remarks

    def _shares(self) -> str:
        """Return how many clips of each split are shown, or nothing if all are shown and there are no splits."""
        if self.clips.splits == ("",):
            total = self.clips.available[""]
            return f" of {total:,}" if total > len(self.clips.rows) else ""
        shown = (
            f"{self.clips.shown(split):,} of {count:,} {split or 'without a split'}"
            for split, count in self.clips.available.items()
        )
        return f" ({', '.join(shown)})"

    def data(self) -> dict[str, Any]:
        """Return what `map.js` reads, as JSON values. Lists under `clips` have one value for each clip."""
        splits = self.clips.splits
        return {
            "spec": panels.live_panel(self.clips.extent),
            "extent": list(self.clips.extent),
            "plain": list(PLAIN),
            "neighbors": COUNT,
            "grouped": self.grouped,
            "panels": [
                {"title": panels.panel_title(split, len(splits) == 1), "clips": self.clips.shown(split)}
                for split in splits
            ],
            "clips": self._clips(),
            "tasks": [self._task(encoding) for encoding in self.color_encodings],
            "pictures": {
                "width": thumbnails.WIDTH,
                "height": thumbnails.HEIGHT,
                "columns": thumbnails.COLUMNS,
                "sheet": thumbnails.SHEET,
                "sheets": self.thumbnails.data_uris(),
                "clips": pictured_clips(count) if (count := len(self.clips.rows)) > MAX_PICTURES else None,
            },
            "sound": {str(clip): uri for clip, uri in self.sound.data_uris().items()},
        }

    def _sound_remark(self) -> str:
        rejected = "; ".join(f"{count} {reason}" for reason, count in self.sound.rejected.items())
        return (
            f"The first {sound.SECONDS:g} seconds of {len(self.sound.clips)} of {self.sound_requested} chosen clips "
            "can be played, mono and at the encoder's sample rate."
            + (f" The audio of the others cannot be used: {rejected}." if rejected else "")
        )

    def _clips(self) -> dict[str, list[Any]]:
        return {
            "id": [row.id for row in self.clips.rows],
            "group": [row.group for row in self.clips.rows],
            "panel": [int(panel) for panel in self.clips.panel],
            "x": [round(float(x), _DIGITS) for x in self.clips.coordinates[:, 0]],
            "y": [round(float(y), _DIGITS) for y in self.clips.coordinates[:, 1]],
            "near": [list(clips) for clips in self.neighbors.clips],
            "cosine": [[round(cosine, 3) for cosine in cosines] for cosines in self.neighbors.cosines],
            "same": list(self.neighbors.same_group),
        }

    def _task(self, encoding: ColorEncoding) -> dict[str, Any]:
        names = [
            [[name.text, name.class_index, round(name.x, 3), round(name.y, 3)] for name in of_panel]
            for of_panel in self.names(encoding)
        ]
        classes = [
            {"name": mark.name, "colors": list(mark.colors), "shape": mark.shape, "size": mark.size, "clips": count}
            for mark, count in zip(encoding.marks, encoding.counts, strict=True)
        ]
        return {
            "name": encoding.name,
            "kind": encoding.kind,
            "classes": classes,
            "members": [list(indices) for indices in encoding.members],
            "values": list(encoding.labels) if encoding.kind in ("numbers", "tags") else None,
            "names": names,
        }


def pictured_clips(clips: int) -> list[int]:
    """Return the indices of the clips with a picture: all, or `MAX_PICTURES` that are evenly spread."""
    return list(range(clips)) if clips <= MAX_PICTURES else [i * clips // MAX_PICTURES for i in range(MAX_PICTURES)]


def _require_same_clips(features: FeatureStore, store: MelStore) -> None:
    ids, indices = (manifest.values_of(features.clips, name) for name in ("id", "index"))
    differing = np.flatnonzero(store.rows.index_of(ids) != np.array(indices))
    if len(differing):
        first = differing[0]
        raise DigestMismatch(
            f"{store.path} has no clip {ids[first]!r} at index {indices[first]}, which the features contain; "
            "run `python -m model.extract` again"
        )
