"""The map as a section of the page: what `map.js` reads, a table of the same, and figures of it.

For 3,000 clips the data take 0.4 MB and the mels 3.8 MB as text, 40 kB for each clip that can be heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from model.page import theme
from model.page.document import Section
from model.page.map import panels, sound, thumbnails
from model.page.map.class_names import ClassName, class_names
from model.page.map.class_table import class_table
from model.page.map.coloring import MAX_CLASSES, PLAIN, ColorEncoding, color_encodings
from model.page.map.mapped_clips import MOST_CLIPS, MappedClips
from model.page.map.neighbors import COUNT, Neighbors
from model.page.map.sound import Sound
from model.page.map.thumbnails import Thumbnails
from stores.errors import DigestMismatch
from stores.features import FeatureStore
from stores.mel_store import MelStore

_DIGITS = 4
_SCRIPTS = ("elements.js", "map_clips.js", "map_panel.js", "map.js")


@dataclass(frozen=True)
class EmbeddingMap:
    """All that is known of the clips on a map, before it becomes text."""

    clips: MappedClips
    """Which, and where."""
    color_encodings: tuple[ColorEncoding, ...]
    """One for each label."""
    neighbours: Neighbors
    """By cosine in the embedding."""
    thumbnails: Thumbnails
    """Mels."""
    sound: Sound
    """What can be heard."""
    sound_wanted: int
    """Clips that were to be heard."""

    @classmethod
    def of(cls, features: FeatureStore, store: MelStore, audio_clips: int = 0, most: int = MOST_CLIPS) -> EmbeddingMap:
        """Lay out clips of `features` and read what the page shows of them.

        Args:
            features: embeddings.
            store: the mel store that they are of.
            audio_clips: how many can be heard.
            most: clips on the map.

        Raises:
            DigestMismatch: `store` holds other clips.
        """
        _require_of_this(features, store)
        clips = MappedClips.of(features, most)
        found = tuple(color_encodings(clips.rows))
        wanted = sound.spread(list(clips.panel), next(iter(found), None), audio_clips)
        return cls(
            clips,
            found,
            Neighbors.of(clips.embeddings, [row.group for row in clips.rows]),
            Thumbnails.of(store, [row.index for row in clips.rows]),
            Sound.of(store, clips.rows, wanted),
            len(wanted),
        )

    def section(self, title: str = "Map of the embeddings", name: str = "map") -> Section:
        """The section; `name` tells maps of one page apart."""
        paragraphs = "".join(f'<p class="quiet">{escape(one)}</p>' for one in self.remarks())
        tables = "".join(class_table(one, self.clips, self.neighbours) for one in self.color_encodings)
        widget = f'<div class="map" data-source="{escape(name, quote=True)}-data"></div>'
        body = f"<p>{escape(_LEAD)}</p>\n{widget}\n{paragraphs}\n{tables}"
        return Section(title, body, {}, {f"{name}-data": self.data()}, _SCRIPTS, ("map.css",))

    def figures(self, colours: theme.Theme = theme.LIGHT) -> dict[str, dict[str, Any]]:
        """A Vega-Lite chart of the panels for each label, by its name, to be drawn with the theme's configuration."""
        return {one.name: panels.figure(self.clips, one, self.names(one), colours) for one in self.color_encodings}

    def names(self, colouring: ColorEncoding) -> list[list[ClassName]]:
        """Names of classes on each panel; none of numbers, which a scale tells, and of tags: a clip has several."""
        if colouring.kind in ("numbers", "tags"):
            return [[] for _ in self.clips.splits]
        first = np.array([classes[0] if classes else -1 for classes in colouring.members], np.int64)
        named, panel = [look.short or look.name for look in colouring.looks], self.clips.panel
        return [
            class_names(named, first[panel == one], self.clips.places[panel == one], self.clips.reach)
            for one in range(len(self.clips.splits))
        ]

    @property
    def grouped(self) -> bool:
        """Whether a piece or song has several clips here."""
        groups = [row.group for row in self.clips.rows if row.group]
        return len(set(groups)) < len(groups)

    def remarks(self) -> list[str]:
        """How the map was made, in sentences."""
        shown = ", ".join(
            f"{self.clips.shown(split):,} of {count:,} {split or 'without a split'}"
            for split, count in self.clips.available.items()
        )
        remarks = [
            f"One t-SNE layout of {len(self.clips.rows):,} clips ({shown}), by their embeddings scaled to length 1; "
            "all panels have the same scale. Near dots are alike; how far apart far ones lie means little.",
            f"Neighbours are the {COUNT} nearest by cosine in the embedding itself, not on the map, among these clips"
            + (_OTHER_PIECES if self.grouped else "."),
        ]
        if self.sound_wanted:
            remarks.append(self._heard())
        carried = {name for row in self.clips.rows for name in row.labels}
        if left_out := sorted(carried - {one.name for one in self.color_encodings}):
            remarks.append(f"Labels of no or over {MAX_CLASSES} classes colour no dots: {', '.join(left_out)}.")
        return remarks

    def _heard(self) -> str:
        gone = "; ".join(f"{count} {reason}" for reason, count in self.sound.refused.items())
        return (
            f"The first {sound.SECONDS:g} seconds of {len(self.sound.clips)} of {self.sound_wanted} chosen clips can "
            "be heard, mono and at the encoder's sample rate" + (f"; the audio of the others: {gone}." if gone else ".")
        )

    def data(self) -> dict[str, Any]:
        """What `map.js` reads; lists hold one value for each clip."""
        splits = self.clips.splits
        return {
            "spec": panels.live_panel(self.clips.reach),
            "reach": list(self.clips.reach),
            "plain": list(PLAIN),
            "neighbours": COUNT,
            "grouped": self.grouped,
            "panels": [{"title": panels.panel_title(split), "clips": self.clips.shown(split)} for split in splits],
            "clips": self._clips(),
            "tasks": [self._task(one) for one in self.color_encodings],
            "pictures": {
                "width": thumbnails.WIDTH,
                "height": thumbnails.HEIGHT,
                "columns": thumbnails.COLUMNS,
                "sheet": thumbnails.SHEET,
                "sheets": self.thumbnails.data_uris(),
            },
            "sound": {str(clip): uri for clip, uri in self.sound.data_uris().items()},
        }

    def _clips(self) -> dict[str, list[Any]]:
        return {
            "id": [row.id for row in self.clips.rows],
            "group": [row.group for row in self.clips.rows],
            "panel": [int(panel) for panel in self.clips.panel],
            "x": [round(float(x), _DIGITS) for x in self.clips.places[:, 0]],
            "y": [round(float(y), _DIGITS) for y in self.clips.places[:, 1]],
            "near": [list(clips) for clips in self.neighbours.clips],
            "cosine": [[round(one, 3) for one in cosines] for cosines in self.neighbours.cosines],
            "same": list(self.neighbours.same_group),
        }

    def _task(self, one: ColorEncoding) -> dict[str, Any]:
        names = [[[name.text, name.which, round(name.x, 3), round(name.y, 3)] for name in of] for of in self.names(one)]
        looks = [
            {"name": look.name, "colours": list(look.colours), "shape": look.shape, "size": look.size, "clips": count}
            for look, count in zip(one.looks, one.counts, strict=True)
        ]
        return {
            "name": one.name,
            "kind": one.kind,
            "classes": looks,
            "members": [list(classes) for classes in one.members],
            "values": list(one.labels) if one.kind in ("numbers", "tags") else None,
            "names": names,
        }


_LEAD = (
    "Each dot is a clip. Point at one to see what it is; click it, or press Enter, to keep it, hear it where there is "
    "sound, and see which clips the encoder finds most like it."
)


_OTHER_PIECES = (
    " and of other pieces: a clip's own piece in other keys or excerpts is mostly nearest, and only counted."
)


def _require_of_this(features: FeatureStore, store: MelStore) -> None:
    for row in features.clips:
        if not 0 <= row.index < len(store.rows) or store.rows[row.index].id != row.id:
            raise DigestMismatch(
                f"{store.path} has no clip {row.id!r} at {row.index}, which the features are of; extract them again"
            )
