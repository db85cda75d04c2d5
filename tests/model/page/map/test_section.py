"""The map's section: the data of the script agree with what was computed, and foreign text stays text."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import synthetic_map

from model.page.document import page
from model.page.map.section import EmbeddingMap
from stores.errors import DigestMismatch
from stores.manifest import ClipRows


def _build(clips, **options):
    return EmbeddingMap.build(*synthetic_map.features_and_store(clips), **options)


@pytest.fixture(scope="module")
def embedding_map(tmp_path_factory):
    root = tmp_path_factory.mktemp("audio")
    features, store = synthetic_map.features_and_store(45, root, with_audio=[0, 3, 40])
    return EmbeddingMap.build(features, store, audio_clips=45)


def test_lists_have_a_value_for_each_clip_and_are_json(embedding_map):
    data = json.loads(json.dumps(embedding_map.data(), allow_nan=False))
    assert {len(values) for values in data["clips"].values()} == {45}
    assert {len(task["members"]) for task in data["tasks"]} == {45}
    assert data["clips"]["id"] == [row.id for row in embedding_map.clips.rows]
    assert sum(panel["clips"] for panel in data["panels"]) == 45
    np.testing.assert_allclose(data["clips"]["x"], embedding_map.clips.coordinates[:, 0], atol=1e-4)


def test_the_sheets_have_the_clips_in_the_order_of_the_map(embedding_map):
    data = embedding_map.data()
    assert len(data["pictures"]["sheets"]) == 1
    assert data["clips"]["id"][30] == embedding_map.clips.rows[30].id


def test_clips_with_audio_have_sound_and_the_others_are_counted(embedding_map):
    with_sound = {embedding_map.clips.rows[int(clip)].index for clip in embedding_map.data()["sound"]}
    assert with_sound == {0, 3, 40}
    remarks = embedding_map.remarks()
    assert any("of 3 of 45 chosen clips can be played" in text and "42 missing" in text for text in remarks)


def test_a_map_without_audio_does_not_mention_sound():
    embedding_map = _build(45)
    assert embedding_map.data()["sound"] == {}
    assert not any("played" in text for text in embedding_map.remarks())


def test_the_page_says_how_many_clips_of_how_many_are_shown():
    embedding_map = _build(45, max_clips=12)
    assert len(embedding_map.clips.rows) == 12
    assert "12 clips (4 of 18 train, 4 of 18 valid, 4 of 9 test)" in embedding_map.remarks()[0]


def test_the_same_input_gives_the_same_section():
    first, second = (_build(30).section() for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_foreign_text_creates_no_element(embedding_map):
    body = embedding_map.section().body
    assert not re.search(r"<(script|img|b|i)\b", body)
    assert html.escape(synthetic_map.GENRES[1]) in body
    document = page("a </title><script>", "b", [embedding_map.section()])
    assert "<script>window.pwned" not in document
    assert "onerror=alert(1)>" not in document


def test_classes_and_keys_have_names_on_the_map_but_numbers_and_tags_do_not(embedding_map):
    has_names = {
        encoding.name: sum(map(len, embedding_map.names(encoding))) > 0 for encoding in embedding_map.color_encodings
    }
    assert has_names == {"genre": True, "key": True, "arousal": False, "tags": False}


def test_a_label_that_does_not_color_dots_is_named():
    features, store = synthetic_map.features_and_store(12)
    features.rows[0].labels["valence"] = "high <b>"
    remarks = EmbeddingMap.build(features, store).remarks()
    assert "do not color dots: valence." in remarks[-1]


def test_two_maps_of_a_page_have_different_ids(embedding_map):
    assert set(embedding_map.section(name="a").data) & set(embedding_map.section(name="b").data) == set()


def test_features_of_another_store_are_rejected():
    features, store = synthetic_map.features_and_store(12)
    store.rows = ClipRows.of([*store.rows[:5], replace(store.rows[5], id="other"), *store.rows[6:]])
    with pytest.raises(DigestMismatch, match=r"made.zarr has no clip .* at index 5"):
        EmbeddingMap.build(features, store)


def test_clips_without_labels_make_a_map():
    features, store = synthetic_map.features_and_store(12)
    for row in features.rows:
        row.labels.clear()
    embedding_map = EmbeddingMap.build(features, store, audio_clips=3)
    assert embedding_map.data()["tasks"] == []
    assert "<table>" not in embedding_map.section().body


def test_pieces_are_mentioned_only_if_a_piece_has_several_clips(embedding_map):
    assert embedding_map.data()["grouped"] is True
    assert "of other pieces" in embedding_map.remarks()[1]
    features, store = synthetic_map.features_and_store(12)
    features = replace(features, rows=[replace(row, group=row.id) for row in features.rows])
    ungrouped = EmbeddingMap.build(features, store)
    assert ungrouped.data()["grouped"] is False
    assert "piece" not in " ".join(ungrouped.remarks())
