"""GiantSteps-MTG as a training set, in a miniature of its published repository."""

from __future__ import annotations

import pytest
import synthetic_splits
from synthetic_audio import write_text

from pipeline.datasets import giantsteps_mtg
from stores.errors import CorruptArtifact, MissingArtifact

ROWS = [
    ("5061", "D# minor", "2", "Ann, Bob"),
    ("5881", "A major ", "2", "Carl"),
    ("7217", "F minor", "1", "Dora"),
    ("10359", "F minor / C major", "2", "Dora"),
    ("10400", "-", "0", "Various Artists"),
    ("20000", "B minor", "2", "bob , Eve"),
    ("20001", "C major", "2", "Eve"),
    ("20002", "D# minor", "2", "Ann"),
    ("20003", "G major", "2", "Various Artists"),
]
COPIES = {"20002": "5061"}


def _repository(folder, rows=ROWS):
    annotations = "".join(f"{number}\t{key}\t{certainty}\n" for number, key, certainty, _ in rows)
    write_text(folder / giantsteps_mtg.ANNOTATIONS, "ID\tMANUAL KEY\tC\n" + annotations)
    artists = "".join(f'{number}\t{names}\ta "title\n' for number, _, _, names in rows)
    write_text(folder / giantsteps_mtg.METADATA, "ID\tARTIST\tSONG TITLE\n" + artists)
    for number, *_ in rows:
        write_text(folder / giantsteps_mtg.DIGESTS / f"{number}.LOFI.md5", f"md5-of-{COPIES.get(number, number)}\n")
    return folder


@pytest.fixture
def root(tmp_path):
    synthetic_splits.touch(tmp_path, *(f"audio/{number}.LOFI.mp3" for number, *_ in ROWS))
    return _repository(tmp_path)


def test_previews_with_one_certain_key_are_listed_once(root):
    listing = giantsteps_mtg.tracks(root)
    assert {track.id: track.labels["key"] for track in listing.tracks} == {
        "5061": "Eb minor",
        "5881": "A major",
        "20000": "B minor",
        "20001": "C major",
        "20003": "G major",
    }
    assert listing.notes == ("3 previews without one certain key and 1 copies of other previews are left out",)


def test_songs_that_share_artists_are_one_group_in_one_split(root):
    tracks = {track.id: track for track in giantsteps_mtg.tracks(root).tracks}
    assert {number: track.group for number, track in tracks.items()} == {
        "5061": "5061",
        "20000": "5061",
        "20001": "5061",
        "5881": "5881",
        "20003": "20003",
    }
    assert len({tracks[number].split for number in ("5061", "20000", "20001")}) == 1


def test_about_a_seventh_of_the_groups_is_valid_and_none_is_test(tmp_path):
    rows = [(str(number), "A minor", "2", f"artist {number}") for number in range(1, 1001)]
    synthetic_splits.touch(tmp_path, *(f"{number}.mp3" for number in range(1, 1001)))
    listing = giantsteps_mtg.tracks(tmp_path, _repository(tmp_path / "repository", rows))
    assert 110 < listing.published["valid"] < 190
    assert listing.published == {"train": 1000 - listing.published["valid"], "valid": listing.published["valid"]}


def test_missing_or_damaged_tables_are_an_error_that_says_what_to_do(root):
    (root / giantsteps_mtg.METADATA).write_text("no table\n1\n")
    with pytest.raises(CorruptArtifact, match="not a table of GiantSteps-MTG"):
        giantsteps_mtg.tracks(root)
    (root / giantsteps_mtg.ANNOTATIONS).unlink()
    with pytest.raises(MissingArtifact, match=r"Clone github.com/GiantSteps/giantsteps-mtg-key-dataset"):
        giantsteps_mtg.tracks(root)
