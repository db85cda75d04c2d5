"""Splits that are made for a table without any: whole groups, every class in each split, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.datasets import made_splits
from pipeline.datasets.label_table import LabelTable
from stores.errors import InvalidInput

SHARES = (0.6, 0.1, 0.3)


def _table(tmp_path, lines, head="path,genre"):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return LabelTable.read(path)


@pytest.fixture
def albums(tmp_path):
    """Return a table of 60 albums of five files, with three genres of which one is rare."""
    genres = ["rock"] * 30 + ["jazz"] * 20 + ["folk"] * 10
    return _table(tmp_path, [f"{album}/{song}.mp3,{genres[album]}" for album in range(60) for song in range(5)])


def test_shares_hold_for_all_files_and_for_every_class(albums):
    made = made_splits.make(albums, SHARES)
    counts = Counter((row.labels["genre"], row.split) for row in made.rows.values())
    for genre, total in (("rock", 150), ("jazz", 100), ("folk", 50)):
        for split, share in zip(made_splits.SPLIT_NAMES, SHARES, strict=True):
            assert abs(counts[genre, split] - share * total) <= 5  # one album


def test_files_of_an_album_are_in_one_split(albums):
    made = made_splits.make(albums, SHARES)
    assert made.groups_by == "folder"
    splits = {(row.group, row.split) for row in made.rows.values()}
    assert len(splits) == len({group for group, _ in splits}) == 60


def test_the_seed_decides_and_the_same_seed_gives_the_same_splits(albums):
    first, again, other = (made_splits.make(albums, SHARES, seed).rows for seed in (0, 0, 1))
    assert first == again
    assert {path for path in first if first[path].split != other[path].split}


def test_a_folder_for_each_class_is_no_album(tmp_path):
    table = _table(tmp_path, [f"{genre}/{song}.mp3,{genre}" for genre in ("rock", "jazz") for song in range(20)])
    made = made_splits.make(table, SHARES)
    assert made.groups_by == "file"
    assert Counter((row.labels["genre"], row.split) for row in made.rows.values())["rock", "test"] == 6


@pytest.mark.parametrize("name", ["group", "artist", "Album"])
def test_a_column_states_the_groups(tmp_path, name):
    table = _table(tmp_path, [f"{i}.mp3,rock,{i % 6}" for i in range(30)], f"path,genre,{name}")
    made = made_splits.make(table, SHARES)
    assert made.groups_by == name.lower()
    assert {row.group for row in made.rows.values()} == {str(i) for i in range(6)}


def test_a_written_table_is_read_as_a_table_with_splits(albums, tmp_path):
    made = made_splits.make(albums, SHARES)
    made.write(tmp_path / "made.csv")
    table = LabelTable.read(tmp_path / "made.csv")
    assert made_splits.has_splits(table)
    assert not made_splits.has_splits(albums)
    assert [(row.split, row.group, row.labels) for row in table.rows.values()] == [
        (row.split, row.group, row.labels) for row in made.rows.values()
    ]


@pytest.mark.parametrize("text", ["", "60/40", "60/10/31", "0/50/50", "60-10-30", "a/b/c"])
def test_other_shares_are_an_error_with_an_example(text):
    with pytest.raises(InvalidInput, match="for example 60/10/30"):
        made_splits.parse_shares(text)


def test_shares_are_read_in_percent():
    assert made_splits.parse_shares("60/10/30") == SHARES
