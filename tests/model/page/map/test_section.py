"""The map's section: what the script reads agrees with what was computed, and foreign text stays text."""

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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("audio")
    features, store = synthetic_map.made(45, root, heard=[0, 3, 40])
    return EmbeddingMap.of(features, store, audio_clips=45)


def test_lists_hold_one_value_for_each_clip_and_are_json(made):
    data = json.loads(json.dumps(made.data(), allow_nan=False))
    assert {len(one) for one in data["clips"].values()} == {45}
    assert {len(task["members"]) for task in data["tasks"]} == {45}
    assert data["clips"]["id"] == [row.id for row in made.clips.rows]
    assert sum(panel["clips"] for panel in data["panels"]) == 45
    np.testing.assert_allclose(data["clips"]["x"], made.clips.places[:, 0], atol=1e-4)


def test_the_sheets_hold_the_clips_in_the_order_of_the_map(made):
    data = made.data()
    assert len(data["pictures"]["sheets"]) == 1
    assert data["clips"]["id"][30] == made.clips.rows[30].id


def test_sound_is_that_of_the_clips_that_have_some_and_the_rest_is_told(made):
    heard = {made.clips.rows[int(clip)].index for clip in made.data()["sound"]}
    assert heard == {0, 3, 40}
    assert any("of 3 of 45 chosen clips can be heard" in one and "42 missing" in one for one in made.remarks())


def test_without_audio_nothing_is_said_of_it():
    one = EmbeddingMap.of(*synthetic_map.made(45))
    assert one.data()["sound"] == {}
    assert not any("heard" in remark for remark in one.remarks())


def test_how_many_of_how_many_is_told():
    one = EmbeddingMap.of(*synthetic_map.made(45), most=12)
    assert len(one.clips.rows) == 12
    assert "12 clips (4 of 18 train, 4 of 18 valid, 4 of 9 test)" in one.remarks()[0]


def test_the_same_input_gives_the_same_section():
    first, second = (EmbeddingMap.of(*synthetic_map.made(30)).section() for _ in range(2))
    assert first == second


def test_foreign_text_makes_no_element(made):
    body = made.section().body
    assert not re.search(r"<(script|img|b|i)\b", body)
    assert html.escape(synthetic_map.GENRES[1]) in body
    whole = page("a </title><script>", "b", [made.section()])
    assert "<script>window.pwned" not in whole
    assert "onerror=alert(1)>" not in whole


def test_classes_and_keys_have_names_on_the_map_numbers_and_tags_have_none(made):
    named = {one.name: sum(map(len, made.names(one))) > 0 for one in made.color_encodings}
    assert named == {"genre": True, "key": True, "arousal": False, "tags": False}


def test_a_label_that_colours_nothing_is_named():
    features, store = synthetic_map.made(12)
    features.rows[0].labels["valence"] = "high <b>"
    remarks = EmbeddingMap.of(features, store).remarks()
    assert "colour no dots: valence." in remarks[-1]


def test_two_maps_of_one_page_have_names_of_their_own(made):
    assert set(made.section(name="a").data) & set(made.section(name="b").data) == set()


def test_features_of_another_store_are_refused():
    features, store = synthetic_map.made(12)
    store.rows = [*store.rows[:5], replace(store.rows[5], id="other"), *store.rows[6:]]
    with pytest.raises(DigestMismatch, match=r"made.zarr has no clip .* at 5"):
        EmbeddingMap.of(features, store)


def test_clips_without_labels_make_a_map_as_well():
    features, store = synthetic_map.made(12)
    for row in features.rows:
        row.labels.clear()
    one = EmbeddingMap.of(features, store, audio_clips=3)
    assert one.data()["tasks"] == []
    assert "<table>" not in one.section().body


def test_pieces_are_spoken_of_only_where_one_has_several_clips(made):
    assert made.data()["grouped"] is True
    assert "of other pieces" in made.remarks()[1]
    features, store = synthetic_map.made(12)
    features = replace(features, rows=[replace(row, group=row.id) for row in features.rows])
    one = EmbeddingMap.of(features, store)
    assert one.data()["grouped"] is False
    assert "piece" not in " ".join(one.remarks())
