"""Texts of clips: captions in a CSV table, which are embedded, and embeddings of other programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_pairs

from model.alignment import text_table
from model.alignment.text_encoders import HashedWords
from stores.errors import CorruptArtifact, MissingArtifact


def test_captions_are_embedded_and_say_by_which_encoder(tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text('\ufeffid,caption\na,"a slow reel, in D"\nb,a march\n', "utf-8")
    texts = text_table.read(table, "hashed-words")
    assert texts.ids == ("a", "b")
    assert np.array_equal(texts.embeddings, HashedWords().embed(["a slow reel, in D", "a march"]))
    assert (texts.provenance["text_encoder"], texts.provenance["text_encoder_digest"]) == (
        "hashed-words",
        "hashed-words-1",
    )
    table.write_text("id,caption\na,another\nb,a march\n")
    assert text_table.read(table, "hashed-words").provenance["digest"] != texts.provenance["digest"]


def test_embeddings_of_other_programs_are_read_as_they_are(tmp_path):
    text = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    synthetic_pairs.write_texts(tmp_path / "texts.parquet", ["a", "b", "c"], text)
    texts = text_table.read(tmp_path / "texts.parquet", "hashed-words")
    assert np.array_equal(texts.embeddings, text)
    assert "text_encoder" not in texts.provenance


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,words\na,b\n", "KeyError"),
        (b"id,caption\na\n", "AttributeError"),
        (b"id,caption\na,b\na,c\n", "must have each id once"),
        (b"id,caption\n", "has 0 rows"),
        (b"id,caption\na,\xff\n", "UnicodeDecodeError"),
    ],
)
def test_a_table_that_is_none_is_an_error(tmp_path, content, message):
    (tmp_path / "captions.csv").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=message):
        text_table.read(tmp_path / "captions.csv", "hashed-words")


def test_a_table_that_is_missing_or_too_large_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(MissingArtifact, match="no captions at"):
        text_table.read(tmp_path / "captions.csv", "hashed-words")
    monkeypatch.setattr(text_table, "MAX_CAPTION_BYTES", 10)
    (tmp_path / "captions.csv").write_text("id,caption\na,b\n")
    with pytest.raises(CorruptArtifact, match="at most 10 are accepted"):
        text_table.read(tmp_path / "captions.csv", "hashed-words")


def test_texts_with_the_same_stated_meaning_or_the_same_words_mean_the_same(tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text("id,caption,meaning\na,slow,s\nb,not fast, s \nc,loud,\nd,loud,\ne,quiet,\n")
    meanings = text_table.read_meanings(table)
    assert meanings == {"a": "s", "b": "s"}
    pairs = synthetic_pairs.pairs(5)
    texts = np.array([[1.0], [2.0], [3.0], [3.0], [4.0]], np.float32)
    pairs = replace(pairs, text=texts, meanings=tuple(meanings.get(name, "") for name in "abcde"))
    assert pairs.meaning_numbers.tolist() == [0, 0, 1, 1, 2]
    assert replace(pairs, meanings=()).meaning_numbers.tolist() == [0, 1, 2, 2, 3]
    table.write_text("id,caption\na,slow\n")
    assert text_table.read_meanings(table) == {}
    assert text_table.read_meanings(tmp_path / "texts.parquet") == {}
