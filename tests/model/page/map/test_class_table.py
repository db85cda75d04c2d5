"""The map's table: clips by class and split, and how often neighbours are of the same class."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import synthetic_map

from model.page.map.section import EmbeddingMap


class _Cells(HTMLParser):
    """Rows of cells of all tables, and every tag."""

    def __init__(self):
        super().__init__()
        self.rows, self.tags, self._open = [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag):
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data):
        if self._open:
            self.rows[-1][-1] += data


def test_the_table_counts_clips_by_split_and_neighbours_alike():
    made = EmbeddingMap.of(*synthetic_map.made(45))
    cells = _Cells()
    cells.feed(made.section().body)
    rows = {row[0]: row[1:] for row in cells.rows}
    for genre in synthetic_map.GENRES:
        of_genre = [i for i, row in enumerate(made.clips.rows) if row.labels["genre"] == genre]
        counts = [sum(made.clips.rows[i].split == split for i in of_genre) for split in made.clips.splits]
        near = [made.clips.rows[j].labels["genre"] == genre for i in of_genre for j in made.neighbours.clips[i]]
        assert rows[genre] == [*map(str, counts), f"{100 * np.mean(near):.0f} %"]
