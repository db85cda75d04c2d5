"""Feature tables: every column of the Parquet or npz file has the values of the store, without pickles."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from stores import feature_tables
from stores.errors import InvalidInput
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow

PROVENANCE = {"encoder": {"run": 1}, "digest": "d"}


@pytest.fixture
def features():
    clips = [
        ClipRow(0, "a/b.mp3", "a/b.mp3", "g", "train", {"key": "C major", "genre": "ära"}, state="written"),
        ClipRow(1, "c.ogg", "c.ogg", "h", "", state="written"),
    ]
    spans = Spans(np.array([0, 0, 1]), np.array([0, 3.072, 0]), np.array([1, 1, 1]), np.array([False, False, True]))
    embeddings = np.arange(12, dtype=np.float32).reshape(3, 4)
    return FeatureStore(embeddings, [clips[0], clips[0], clips[1]], PROVENANCE, spans)


def test_parquet_has_every_column(tmp_path, features):
    feature_tables.write(tmp_path / "x.parquet", features, "parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == ["a/b.mp3", "a/b.mp3", "c.ogg"]
    assert rows[1] == {
        "id": "a/b.mp3",
        "split": "train",
        "group": "g",
        "labels": [("genre", "ära"), ("key", "C major")],
        "start_seconds": 3.072,
        "windows": 1,
        "padded": False,
        "embedding": [4.0, 5.0, 6.0, 7.0],
        "genre": "ära",
        "key": "C major",
    }
    assert rows[2]["padded"]
    assert rows[2]["labels"] == []
    assert json.loads(table.schema.metadata[b"myna"]) == PROVENANCE
    assert table.schema.field("embedding").type.list_size == 4


def test_npz_has_the_same_content_without_pickles(tmp_path, features):
    feature_tables.write(tmp_path / "x.npz", features, "npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["embeddings"], features.embeddings)
        assert arrays["ids"].tolist() == ["a/b.mp3", "a/b.mp3", "c.ogg"]
        assert json.loads(arrays["labels"][0]) == {"genre": "ära", "key": "C major"}
        np.testing.assert_array_equal(arrays["start_seconds"], [0, 3.072, 0])
        np.testing.assert_array_equal(arrays["padded"], [False, False, True])
        assert json.loads(str(arrays["provenance"])) == PROVENANCE


def test_writing_again_replaces_the_file_and_leaves_no_others(tmp_path, features):
    for _ in range(2):
        feature_tables.write(tmp_path / "x.npz", features, "npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_an_unknown_kind_is_an_error(tmp_path, features):
    with pytest.raises(InvalidInput, match="'xml'; use one of parquet, csv, npz"):
        feature_tables.write(tmp_path / "x.xml", features, "xml")


def test_csv_has_a_column_for_each_label_and_number(tmp_path, features):
    feature_tables.write(tmp_path / "x.csv", features, "csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["genre"] for row in rows] == ["ära", "ära", ""]
    assert [float(rows[1][f"embedding_{i}"]) for i in range(4)] == [4, 5, 6, 7]
    assert (rows[1]["id"], rows[1]["start_seconds"], rows[2]["padded"]) == ("a/b.mp3", "3.072", "True")


def test_a_label_called_like_another_column_gets_a_prefix_and_formulas_become_text(tmp_path):
    row = ClipRow(0, "=1+1", "x", "g", "", {"id": "one", "+mood": "@calm"}, state="written")
    features = FeatureStore(np.ones((1, 2), np.float32), [row], PROVENANCE)
    feature_tables.write(tmp_path / "x.csv", features, "csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["id"], line["label:id"], line["'+mood"]) == ("'=1+1", "one", "'@calm")
    feature_tables.write(tmp_path / "x.parquet", features, "parquet")
    assert pq.read_table(tmp_path / "x.parquet").to_pylist()[0]["label:id"] == "one"
