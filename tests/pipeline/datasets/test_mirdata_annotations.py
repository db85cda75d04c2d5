"""Annotations of mirdata as labels: values of all types, and files that are missing or damaged."""

from __future__ import annotations

import csv
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.mirdata_annotations import Annotations, text_of
from stores.errors import CorruptArtifact


class _Track:
    genre = "rock"
    tempo = np.int64(120)

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def key(self) -> str:
        raise self.error


def _annotations(error: Exception) -> Annotations:
    return Annotations({"a": _Track(error)}, {"a": Path("a.wav")})


@pytest.mark.parametrize("error", [FileNotFoundError("keys.csv"), AttributeError("This Track does not have metadata.")])
def test_an_annotation_whose_file_is_missing_is_no_label_and_is_counted(error):
    annotations = _annotations(error)
    assert annotations.labels("a") == {"genre": "rock", "tempo": "120"}
    assert annotations.counts() == {"clips without key, because its file is missing": 1}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no number"), "no number"),
        (csv.Error("line contains NUL"), "NUL"),
        (xml.etree.ElementTree.ParseError("syntax error"), "syntax error"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_a_damaged_annotation_is_an_error_that_names_it(error, text):
    with pytest.raises(CorruptArtifact, match=rf"key of track 'a' cannot be read by mirdata: .*{text}"):
        _annotations(error).labels("a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("D minor\n", "D minor"),
        (126, "126"),
        (120.5, "120.5"),
        (np.int64(126), "126"),
        (np.float32(0.5), "0.5"),
        (float("nan"), ""),
        (np.float64("inf"), ""),
        (["a", "b", "a"], "a|b"),
        (("a", ["b"]), "a|b"),
        ({"genres": ["House"], "sub_genres": ["Deep"]}, "House"),
        ("N/A", ""),
        (None, ""),
        (True, ""),
        (object(), ""),
        ("a|b", "a/b"),
    ],
)
def test_values_become_labels(value, text):
    assert text_of(value) == text
