"""FMA in miniatures of its published layout."""

from __future__ import annotations

import csv

import pytest
import synthetic_audio
from synthetic_splits import touch

from pipeline.datasets import fma
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

GROUPS = ["", "album", "artist", "artist", "set", "set", "track", "track", "track"]
NAMES = ["", "information", "bio", "id", "split", "subset", "genre_top", "genres_all", "title"]
BIOGRAPHY = 'A "band",\nwith two lines ' + "and a long story " * 20_000
ROWS = [
    [2, "", BIOGRAPHY, 1, "training", "medium", "Hip-Hop", "[21]", "Food"],
    [5, "", "", 1, "training", "small", "Hip-Hop", "[21]", "Death"],
    [10, "", "", 6, "validation", "small", "Pop", "[10]", "Freeway"],
    [140, "", "", 54, "test", "small", "Folk", "[17, 21]", "Queen"],
    [20, "", "", 4, "training", "large", "", "[21, 17]", "Spiritual"],
    [99134, "", "", 7, "test", "small", "Pop", "[]", "broken"],
]


def _write_metadata(folder, rows=ROWS, genres=True):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([GROUPS, NAMES, ["track_id", *[""] * 8], *rows])
    if genres:
        (folder / "genres.csv").write_text(
            "genre_id,#tracks,parent,title,top_level\n21,1,0,Hip-Hop,21\n17,1,0,Folk,17\n"
        )
    return folder


def _touch(root, folder, *numbers):
    touch(root, *(f"{folder}/{number // 1000:03d}/{number:06d}.mp3" for number in numbers))


def test_tracks_have_the_split_the_artist_and_the_genres(tmp_path):
    _touch(tmp_path, "fma_small", 5, 10, 140)
    _write_metadata(tmp_path / "fma_metadata")
    listing = fma.tracks(tmp_path)
    assert [(track.id, track.split, track.group, dict(track.labels)) for track in listing.tracks] == [
        ("000005", "train", "1", {"genre": "Hip-Hop", "tags": "Hip-Hop"}),
        ("000010", "valid", "6", {"genre": "Pop"}),
        ("000140", "test", "54", {"genre": "Folk", "tags": "Folk|Hip-Hop"}),
    ]
    assert listing.published == {"train": 1, "valid": 1, "test": 2}
    assert listing.counts["clips missing"] == 1


@pytest.mark.parametrize(
    ("folder", "published"),
    [
        ("fma_small", {"train": 1, "valid": 1, "test": 2}),
        ("fma_medium", {"train": 2, "valid": 1, "test": 2}),
        ("fma_large", {"train": 3, "valid": 1, "test": 2}),
        ("fma_full", {"train": 3, "valid": 1, "test": 2}),
        ("clips", {"train": 2, "valid": 1, "test": 2}),
    ],
)
def test_the_folder_or_the_tracks_say_which_subset_it_is(tmp_path, folder, published):
    _touch(tmp_path, folder, 2, 5)
    assert fma.tracks(tmp_path, _write_metadata(tmp_path / "elsewhere")).published == published
    assert fma.tracks(tmp_path / folder, tmp_path / "elsewhere").published == published


def test_a_track_of_several_top_genres_has_no_genre(tmp_path):
    _touch(tmp_path, "fma_large", 20)
    _write_metadata(tmp_path)
    (track,) = fma.tracks(tmp_path).tracks
    assert dict(track.labels) == {"tags": "Hip-Hop|Folk"}


def test_without_genres_there_is_no_label_tags(tmp_path):
    _touch(tmp_path, "fma_small", 140)
    _write_metadata(tmp_path, genres=False)
    assert dict(fma.tracks(tmp_path).tracks[0].labels) == {"genre": "Folk"}


def test_clips_that_are_known_to_be_broken_are_named(tmp_path):
    _touch(tmp_path, "fma_small", 5, 99134)
    _write_metadata(tmp_path)
    assert fma.tracks(tmp_path).counts["known to be damaged in some copies (099134)"] == 1
    (tmp_path / "fma_small").rename(tmp_path / "fma_full")
    assert not any("damaged" in name for name in fma.tracks(tmp_path).counts)


def test_the_published_zip_is_read_as_it_is(tmp_path):
    made = [synthetic_audio.write(tmp_path / "made" / f"{n:06d}.mp3", synthetic_audio.sine(440, 0.2)) for n in (5, 10)]
    synthetic_audio.pack(tmp_path / "root" / "fma_small.zip", made)
    tracks = fma.tracks(tmp_path / "root", _write_metadata(tmp_path / "metadata")).tracks
    assert [(track.path.name, track.member) for track in tracks] == [
        ("fma_small.zip", "000005.mp3"),
        ("fma_small.zip", "000010.mp3"),
    ]


def test_whole_tracks_beside_clips_are_an_error(tmp_path):
    _touch(tmp_path, "fma_small", 5)
    _touch(tmp_path, "fma_full", 5)
    _write_metadata(tmp_path)
    with pytest.raises(InvalidInput, match=r"whole tracks \(fma_full\) and clips of 30 s \(small\)"):
        fma.tracks(tmp_path)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", ",set\n,split\ntrack_id,\n2,training\n", "\xff"])
def test_a_table_in_another_format_is_an_error(tmp_path, content):
    _touch(tmp_path, "fma_small", 5)
    (tmp_path / "tracks.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(CorruptArtifact, match="is not the published table of tracks"):
        fma.tracks(tmp_path)


def test_missing_files_are_errors_that_say_where_to_get_them(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no audio of FMA .*fma_small/000/000002.mp3"):
        fma.tracks(tmp_path)
    _touch(tmp_path, "fma_small", 5)
    with pytest.raises(MissingArtifact, match=r"no tracks.csv of FMA .*fma_metadata.zip.*--metadata"):
        fma.tracks(tmp_path)


def _track(number, artist="1", split="training", genres="[21]"):
    return [number, "", "", artist, split, "small", "Pop", genres, ""]


def test_a_track_that_is_listed_twice_is_an_error(tmp_path):
    _touch(tmp_path, "fma_small", 5)
    _write_metadata(tmp_path, [_track(5), _track("000005", split="test")])
    with pytest.raises(CorruptArtifact, match=r"tracks.csv lists track 000005 more than once"):
        fma.tracks(tmp_path)


def test_a_table_without_its_third_line_does_not_lose_its_first_track(tmp_path):
    _touch(tmp_path, "fma_small", 5, 6)
    path = _write_metadata(tmp_path, [_track(5), _track(6)]) / "tracks.csv"
    path.write_text(path.read_text().replace("track_id,,,,,,,,\n", ""))
    with pytest.raises(CorruptArtifact, match=r"line 3 begins with '5' instead of 'track_id'"):
        fma.tracks(tmp_path)


@pytest.mark.parametrize("number", [-5, 1234567, "x"])
def test_the_number_of_a_track_has_at_most_six_digits(tmp_path, number):
    _touch(tmp_path, "fma_small", 5)
    _write_metadata(tmp_path, [_track(5), _track(number)])
    with pytest.raises(CorruptArtifact, match="is not the number of a track"):
        fma.tracks(tmp_path)


@pytest.mark.parametrize("genres", ["[1e999]", "[21.7]", 'b"ab"', "[" * 100_000, "{21}", "nan", "[21,,17]", "[21, 17"])
def test_text_that_is_no_list_of_genres_is_an_error(tmp_path, genres):
    _touch(tmp_path, "fma_small", 5)
    _write_metadata(tmp_path, [_track(5, genres=genres)])
    with pytest.raises(CorruptArtifact, match=r"track 000005: .* is not a list of genres"):
        fma.tracks(tmp_path)


def test_genres_without_a_title_are_counted_and_repeated_ones_are_one(tmp_path):
    _touch(tmp_path, "fma_small", 5)
    _write_metadata(tmp_path, [_track(5, genres="[21, 99, 21]")])
    listing = fma.tracks(tmp_path)
    assert listing.tracks[0].labels["tags"] == "Hip-Hop"
    assert listing.counts["genres of tracks that genres.csv does not name"] == 1
    (tmp_path / "genres.csv").unlink()
    assert fma.tracks(tmp_path).counts["genres.csv not found beside tracks.csv, so there is no label tags"] == 1


def test_tracks_without_an_artist_are_groups_of_their_own(tmp_path):
    _touch(tmp_path, "fma_small", 5, 6)
    _write_metadata(tmp_path, [_track(5, ""), _track(6, "", "test")])
    listing = fma.tracks(tmp_path)
    assert len({track.group for track in listing.tracks}) == 2
    assert "groups in several splits" not in listing.counts
