"""GTZAN in the layouts that people have."""

from __future__ import annotations

import pytest

from pipeline.datasets import gtzan
from stores.errors import MissingArtefact

LAYOUTS = ["genres/{genre}", "genres_original/{genre}", "Data/genres_original/{genre}", "."]


def _make(root, layout=".", suffix="wav", genres=gtzan.GENRES, clips=2):
    for genre in genres:
        for number in range(clips):
            path = root / layout.format(genre=genre) / f"{genre}.{number:05d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", ["wav", "au"])
def test_every_layout_gives_the_same_ids_and_labels(tmp_path, layout, suffix):
    _make(tmp_path, layout, suffix)
    tracks = gtzan.tracks(tmp_path)
    assert [track.id for track in tracks] == [f"{genre}.{n:05d}" for genre in gtzan.GENRES for n in range(2)]
    assert all(track.labels == {"genre": track.id.split(".")[0]} and track.split == "" for track in tracks)
    assert all(track.path.is_file() and track.group == track.id for track in tracks)


def test_a_clip_in_two_places_counts_once(tmp_path):
    _make(tmp_path, "genres/{genre}", "au")
    _make(tmp_path, "genres_original/{genre}", "wav")
    assert len(gtzan.tracks(tmp_path)) == 20


def test_the_order_is_that_of_the_ids_whatever_the_folders(tmp_path):
    _make(tmp_path, "z/{genre}", genres=("blues",))
    _make(tmp_path, "a/{genre}", genres=("rock",))
    assert [track.id for track in gtzan.tracks(tmp_path)] == ["blues.00000", "blues.00001", "rock.00000", "rock.00001"]


def test_other_files_are_passed_over(tmp_path):
    _make(tmp_path, genres=("jazz",), clips=1)
    for name in ("._jazz.00001.wav", "jazz.1.wav", "polka.00000.wav", "features_30_sec.csv", "jazz00002.png"):
        (tmp_path / name).touch()
    assert [track.id for track in gtzan.tracks(tmp_path)] == ["jazz.00000"]


def test_half_a_copy_is_taken_as_it_is(tmp_path):
    _make(tmp_path, genres=("jazz", "pop"), clips=3)
    assert len(gtzan.tracks(tmp_path)) == 6


@pytest.mark.parametrize("root", [".", "none"])
def test_an_empty_root_says_what_was_looked_for_and_where_to_get_it(tmp_path, root):
    with pytest.raises(MissingArtefact, match=r"looked for GENRE.NNNNN.wav .* mirrored on .*--root"):
        gtzan.tracks(tmp_path / root)
