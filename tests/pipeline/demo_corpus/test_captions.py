"""Captions of demo clips: their words come from the score, and the key moves with the transposition."""

from __future__ import annotations

import csv
import json

import pytest

from pipeline.demo_corpus import captions
from pipeline.demo_corpus.build_log import BuildLogRow
from pipeline.demo_corpus.catalog import GENRES
from pipeline.demo_corpus.rendering_settings import RenderingSettings

SETTINGS = RenderingSettings(0, (0,), "", "", "")


def _row(slug="a", key="C minor", split="train", program="19"):
    return BuildLogRow("chorale", slug, "g", split, "", program, key, "")


def _write_excerpt(folder, slug, onsets):
    path = folder / "excerpts" / "chorale" / f"{slug}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"notes": [[480 * i, 480 * i + 9, 60 + voice] for i in range(onsets) for voice in (0, 7)]})
    )


def test_a_caption_states_tempo_collection_instrument_and_key(tmp_path):
    _write_excerpt(tmp_path, "a", 15)
    by_id = captions.captions(tmp_path, [_row()], SETTINGS)
    assert len(by_id) == 12
    for name, key in (("chorale/a/+00", "C minor"), ("chorale/a/+03", "Eb minor"), ("chorale/a/-06", "Gb minor")):
        assert all(word in by_id[name].text for word in ("slow", "Bach chorale", "church organ", key))


def test_a_key_that_is_not_certain_is_left_out_and_an_unused_piece_has_no_caption(tmp_path):
    _write_excerpt(tmp_path, "a", 15)
    _write_excerpt(tmp_path, "b", 15)
    by_id = captions.captions(tmp_path, [_row(key=""), _row("b", split=""), _row("c")], SETTINGS)
    assert len(by_id) == 12
    assert len(set(by_id.values())) == 1
    assert not any(word in next(iter(by_id.values())).text for word in ("major", "minor", " in "))


@pytest.mark.parametrize(("rate", "word"), [(1.9, "slow"), (2.0, "moderate"), (4.9, "lively"), (5.0, "fast")])
def test_the_tempo_word_comes_from_the_onsets(rate, word):
    assert captions.tempo_word(rate) == word


def test_every_genre_has_a_name_and_an_unknown_program_its_number():
    assert set(captions.COLLECTIONS) == set(GENRES)
    assert "instrument 99" in captions.caption(_row(program="99"), 0, 1.0, 0)


def test_captions_are_written_as_a_table(tmp_path):
    captions.write(tmp_path / "captions.csv", {"a": captions.Caption("one, two", "1, 2")})
    with (tmp_path / "captions.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"id": "a", "caption": "one, two", "meaning": "1, 2"}]


def test_captions_that_state_the_same_in_other_sentences_have_one_meaning(tmp_path):
    slugs = [f"piece-{number}" for number in range(12)]
    for slug in slugs:
        _write_excerpt(tmp_path, slug, 15)
    by_id = captions.captions(tmp_path, [_row(slug) for slug in slugs], SETTINGS)
    in_c = [by_id[f"chorale/{slug}/+00"] for slug in slugs]
    assert len({each.text for each in in_c}) > 1
    assert len({each.meaning for each in in_c}) == 1
    assert len({each.meaning for each in by_id.values()}) == 12
