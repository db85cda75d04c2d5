"""The map's table: clips by class and split, and how often neighbors are of the same class."""

from __future__ import annotations

import numpy as np
import synthetic_map
from html_elements import Elements

from model.page.map.class_table import class_table
from model.page.map.section import EmbeddingMap


def test_the_table_counts_clips_by_split_and_neighbors_of_the_same_class():
    embedding_map = EmbeddingMap.build(*synthetic_map.features_and_store(45))
    clips, neighbors = embedding_map.clips, embedding_map.neighbors
    table = class_table(embedding_map.color_encodings[0], clips, neighbors)
    cells = {row.cells[0]: list(row.cells[1:]) for row in table.rows}
    assert table.head[1:-1] == ["Train", "Valid", "Test"]
    for genre in synthetic_map.GENRES:
        of_genre = [i for i, row in enumerate(clips.rows) if row.labels["genre"] == genre]
        counts = [sum(clips.rows[i].split == split for i in of_genre) for split in clips.splits]
        same = [clips.rows[j].labels["genre"] == genre for i in of_genre for j in neighbors.clips[i]]
        assert cells[genre] == [*map(str, counts), f"{100 * np.mean(same):.0f} %"]


def test_the_section_has_a_table_for_each_label():
    embedding_map = EmbeddingMap.build(*synthetic_map.features_and_store(45))
    elements = Elements(embedding_map.section().body)
    assert elements.count("table") == len(embedding_map.color_encodings) == 4
    for encoding in embedding_map.color_encodings:
        assert f"Clips by {encoding.name} as a table" in elements.text
