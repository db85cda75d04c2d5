"""The map's numbers as a table: clips of each class by split, and how often their neighbors are of the same class."""

from __future__ import annotations

import numpy as np

from model.page.elements import PageRow, PageTable
from model.page.map.coloring import ColorEncoding
from model.page.map.mapped_clips import MappedClips
from model.page.map.neighbors import Neighbors
from model.page.map.panels import panel_title


def class_table(encoding: ColorEncoding, clips: MappedClips, neighbors: Neighbors) -> PageTable:
    """Return a row for each class of a color encoding."""
    head = ["class", *map(panel_title, clips.splits), "neighbors of the same class"]
    rows = [_row(index, encoding, clips, neighbors) for index in range(len(encoding.marks))]
    return PageTable(head, rows, f"Clips by {encoding.name}")


def _row(class_index: int, encoding: ColorEncoding, clips: MappedClips, neighbors: Neighbors) -> PageRow:
    in_class = np.array([class_index in classes for classes in encoding.members])
    counts = np.bincount(clips.panel[in_class], minlength=len(clips.splits))
    same = [
        class_index in encoding.members[neighbor]
        for clip in np.flatnonzero(in_class)
        for neighbor in neighbors.clips[clip]
    ]
    share = f"{100 * np.mean(same):.0f} %" if same else ""
    return PageRow((encoding.marks[class_index].name, *map(str, counts), share))
