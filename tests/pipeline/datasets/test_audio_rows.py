"""Parquet files of audio in the layouts of the Hugging Face hub, read as a folder."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.audio.source import open_audio
from pipeline.datasets import folder
from pipeline.datasets.audio_rows import split_of
from stores.errors import InvalidInput, MissingArtifact


def _write(path, columns, audio="audio", features=None, rows=3, row_group_size=2):
    """Write a table with `rows` rows of audio, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": bytes([65 + number]), "path": f"{number}.flac"} for number in range(rows)]
    table = pa.table({audio: cells, **columns})
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def _tracks(root, **options):
    return folder.tracks(root, **options).tracks


def _content(track):
    with open_audio(track.path, track.member) as path:
        return path.read_bytes()


@pytest.mark.parametrize("audio", ["audio", "recording"])
def test_each_row_is_a_track_in_the_order_of_the_file(tmp_path, audio):
    _write(tmp_path / "data.parquet", {"track_id": [f"t{number}" for number in range(12)]}, audio, rows=12)
    tracks = _tracks(tmp_path)
    assert [track.id for track in tracks] == [f"data.parquet/t{number}" for number in range(12)]
    assert [track.member for track in tracks] == [str(number) for number in range(12)]
    assert [_content(track) for track in tracks] == [bytes([65 + number]) for number in range(12)]


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"id": ["a", "b", "c"], "name": ["x", "y", "z"]}, ["a", "b", "c"]),
        ({"song_id": [7, 8, 9]}, ["7", "8", "9"]),
        ({"ID": ["a", "b", "c"]}, ["a", "b", "c"]),
        ({"id": ["a", "a", "b"]}, ["0.flac", "1.flac", "2.flac"]),  # not all different: the path of the audio
        ({"id": ["a", None, "b"]}, ["0.flac", "1.flac", "2.flac"]),
        ({"genre": ["a", "b", "c"]}, ["0.flac", "1.flac", "2.flac"]),
    ],
)
def test_the_id_is_the_first_column_of_different_ids(tmp_path, columns, ids):
    _write(tmp_path / "x.parquet", columns)
    assert [track.id for track in _tracks(tmp_path)] == [f"x.parquet/{row_id}" for row_id in ids]


def test_without_ids_and_paths_the_number_is_the_id(tmp_path):
    audio = [{"bytes": b"a", "path": None}, {"bytes": b"b", "path": None}]
    pq.write_table(pa.table({"audio": audio}), tmp_path / "x.parquet")
    assert [track.id for track in _tracks(tmp_path)] == ["x.parquet/0", "x.parquet/1"]


def test_an_id_column_may_be_named(tmp_path):
    _write(tmp_path / "x.parquet", {"id": ["a", "b", "c"], "isrc": ["x", "y", "z"], "genre": ["r", "r", "r"]})
    assert [track.id for track in _tracks(tmp_path, id_column="isrc")] == [f"x.parquet/{i}" for i in "xyz"]
    for column in ("genre", "none"):
        with pytest.raises(InvalidInput, match=rf"the column '{column}' of .*x.parquet cannot be ids"):
            _tracks(tmp_path, id_column=column)


def test_other_columns_are_labels_with_the_names_of_their_classes(tmp_path):
    columns = {
        "id": ["a", "b", "c"],
        "genre": [1, 0, -1],
        "tags": [["x", "y"], [], ["nan", "x"]],
        "moods": [[0, 1], [1], []],
        "tempo": [120.5, None, 90.0],
        "title": ["A", "nan", " "],
        "blob": [b"1", b"2", b"3"],
    }
    classes = {"_type": "ClassLabel", "names": ["rock", "jazz"]}
    features = {"genre": classes, "moods": {"feature": {"names": ["calm", "wild"]}, "_type": "Sequence"}}
    _write(tmp_path / "x.parquet", columns, features=features)
    assert [dict(track.labels) for track in _tracks(tmp_path)] == [
        {"genre": "jazz", "tags": "x|y", "moods": "calm|wild", "tempo": "120.5", "title": "A"},
        {"genre": "rock", "moods": "wild"},
        {"tags": "x", "tempo": "90.0"},
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00012.parquet", "train"),
        ("data/validation-00000-of-00001-abcdef.parquet", "valid"),
        ("test-00000-of-00001.parquet", "test"),
        ("eval/00.parquet", "test"),
        ("default/test/0000.parquet", "test"),
        ("all.parquet", ""),
        ("contest.parquet", ""),
    ],
)
def test_the_name_of_the_file_states_the_split(tmp_path, name, split):
    assert split_of(name) == split
    _write(tmp_path / name, {})
    listing = folder.tracks(tmp_path)
    assert {track.split for track in listing.tracks} == {split}
    assert listing.published == ({split: 3} if split else {})


def test_a_column_of_splits_keeps_test_rows_out_of_training(tmp_path):
    _write(tmp_path / "train.parquet", {"id": ["a", "b", "c"], "Split": ["Train", "test", None]})
    tracks = _tracks(tmp_path)
    assert [(track.split, dict(track.labels)) for track in tracks] == [("train", {}), ("test", {}), ("", {})]
    _write(tmp_path / "train.parquet", {"id": ["a", "b", "c"], "Split": ["x", "test", "train"]})
    assert [track.labels["Split"] for track in _tracks(tmp_path)] == ["x", "test", "train"]


def test_tags_in_two_spellings_are_one(tmp_path):
    tags = [["cafe\u0301", " slow", "slow"], ["caf\u00e9", "NaN"], ["R|B"]]
    _write(tmp_path / "x.parquet", {"id": ["a", "b", "c"], "tags": tags})
    assert [track.labels["tags"] for track in _tracks(tmp_path)] == ["caf\u00e9|slow", "caf\u00e9", "R/B"]


def test_a_row_of_the_label_table_takes_precedence(tmp_path):
    _write(tmp_path / "root" / "train-0.parquet", {"id": ["a", "b", "c"], "genre": ["r", "s", "t"]})
    (tmp_path / "labels.csv").write_text("path,split,mood\ntrain-0.parquet/b,test,calm\n")
    tracks = _tracks(tmp_path / "root", labels=tmp_path / "labels.csv")
    assert [(track.split, dict(track.labels)) for track in tracks] == [
        ("train", {"genre": "r"}),
        ("test", {"mood": "calm"}),
        ("train", {"genre": "t"}),
    ]


def test_parquet_files_without_audio_and_damaged_ones_are_named(tmp_path):
    _write(tmp_path / "x.parquet", {})
    pq.write_table(pa.table({"a": [1]}), tmp_path / "features.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1" + bytes(50))
    counts = folder.tracks(tmp_path).counts
    assert sorted(name.partition(" (")[0] for name in counts) == [
        "Parquet file not read: damaged.parquet",
        "Parquet file not read: features.parquet",
    ]
    (tmp_path / "x.parquet").unlink()
    with pytest.raises(MissingArtifact, match=r"Parquet file not read: features.parquet"):
        folder.tracks(tmp_path)


def test_columns_that_are_not_read_are_counted(tmp_path):
    audio = pa.array([{"bytes": b"x", "path": "v"}] * 3)
    columns = {
        "vocals": audio,
        "meta": [{"a": 1}] * 3,
        "when": pa.array([1, 2, 3], pa.timestamp("ms")),
        "genre": ["a"] * 3,
    }
    for name in ("a", "b"):
        _write(tmp_path / f"{name}.parquet", columns)
    pq.write_table(pa.table({"audio": audio[:0]}), tmp_path / "empty.parquet")
    listing = folder.tracks(tmp_path)
    assert listing.tracks[0].labels == {"genre": "a"}
    assert listing.counts == {
        "Parquet column not read: meta (struct<a: int64> is no label)": 2,
        "Parquet column not read: vocals (another column of audio)": 2,
        "Parquet column not read: when (timestamp[ms] is no label)": 2,
        "Parquet files without rows": 1,
    }


def test_columns_of_one_name_are_no_labels(tmp_path):
    audio = pa.array([{"bytes": b"x", "path": "a.wav"}])
    names = ["audio", "genre", "genre", "id", "id"]
    columns = [audio, pa.array(["rock"]), pa.array(["jazz"]), pa.array(["1"]), pa.array(["2"])]
    pq.write_table(pa.Table.from_arrays(columns, names), tmp_path / "x.parquet")
    listing = folder.tracks(tmp_path)
    assert [(track.id, dict(track.labels)) for track in listing.tracks] == [("x.parquet/a.wav", {})]
    assert listing.counts["Parquet column not read: genre (several columns have this name)"] == 1


def test_classes_beyond_their_names_and_words_for_no_value_are_counted(tmp_path):
    columns = {"id": ["a", "b", "c"], "genre": [2, -2, -1], "moods": [[0, 7], [2], []], "title": ["A", "nan", " "]}
    features = {
        "genre": {"_type": "ClassLabel", "names": ["rock", "jazz"]},
        "moods": {"feature": {"names": ["calm", "wild", "none"]}, "_type": "Sequence"},
    }
    _write(tmp_path / "x.parquet", columns, features=features)
    listing = folder.tracks(tmp_path)
    assert [dict(track.labels) for track in listing.tracks] == [{"moods": "calm", "title": "A"}, {}, {}]
    assert dict(listing.counts) == {
        "values of genre that name none of its classes (0 to 1)": 2,
        "values of moods that name none of its classes (0 to 2)": 1,
        "cells with a word for no value, such as nan": 2,
    }
    (tmp_path / "labels.csv").write_text("path,mood\nx.parquet/a,null\n")
    counts = folder.tracks(tmp_path, tmp_path / "labels.csv").counts
    assert counts["cells with a word for no value, such as nan"] == 3
