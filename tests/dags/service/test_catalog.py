"""Similar tracks of a collection, without other copies of a recording and with few tracks of an artist."""

from __future__ import annotations

import numpy as np
import pytest

from dags.service.catalog import Catalog
from dags.service.track_table import Track, tracks_of
from model.similarity.collection import Collection
from stores.errors import InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.manifest import ClipRow


@pytest.fixture
def open_catalog(tmp_path):
    def build(angles, tracks=None):
        """Return a catalog of tracks at some angles in degrees, whose cosines are those of the differences."""
        radians = np.radians(angles)
        rows = [ClipRow(i, f"t{i}", f"t{i}", f"t{i}", "", state="written") for i in range(len(angles))]
        vectors = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
        path = tmp_path / "x.npz"
        path.touch()
        collection = Collection(path, FeatureStore(vectors, rows, {"digest": "d"}), None, "d")
        return Catalog.open(collection, tracks or tracks_of(rows, None), None)

    return build


def _track(name, title, author):
    return Track(name, title, author, "unknown", "unknown")


def _names(tracks):
    return [track["item_id"] for track in tracks]


def test_the_nearest_track_is_first_and_the_track_itself_is_left_out(open_catalog):
    catalog = open_catalog([0, 50, 10, 30])
    found = catalog.similar_tracks(0, 10, False)
    assert _names(found) == ["t2", "t3", "t1"]
    assert found[0]["distance"] == pytest.approx(1 - np.cos(np.radians(10)), abs=1e-6)
    assert _names(catalog.similar_tracks(0, 2, False)) == ["t2", "t3"]


def test_copies_of_a_recording_are_listed_once(open_catalog):
    catalog = open_catalog([0, 0.5, 20, 20.4, 40])
    assert _names(catalog.similar_tracks(0, 10, True)) == ["t2", "t4"]
    assert _names(catalog.similar_tracks(0, 10, False)) == ["t1", "t2", "t3", "t4"]


def test_an_artist_has_at_most_three_tracks_and_a_title_is_listed_once(open_catalog):
    titles = ["seed", "a", "b", "B", "c", "d", "e"]
    tracks = [_track(f"t{i}", title, "Someone" if i != 6 else "Other") for i, title in enumerate(titles)]
    catalog = open_catalog([0, 10, 20, 30, 40, 50, 60], tracks)
    assert _names(catalog.similar_tracks(0, 10, True)) == ["t1", "t2", "t4", "t6"]
    assert len(catalog.similar_tracks(0, 10, False)) == 6


def test_a_track_is_found_by_its_id_or_by_title_and_artist(open_catalog):
    catalog = open_catalog([0, 10], [_track("x", "Song", "One"), _track("y", "song", "Two")])
    assert (catalog.position("y"), catalog.position("t0")) == (1, None)
    assert catalog.position_of_title("SONG", "two") == 1
    assert catalog.position_of_title("song", "three") is None


ROWS = [ClipRow(i, name, name, name, "", labels) for i, (name, labels) in enumerate([("a/one.mp3", {}), ("b.mp3", {})])]


def test_a_table_names_the_tracks_as_a_music_server_does(tmp_path, capsys):
    table = tmp_path / "tracks.csv"
    table.write_text('\ufeffitem_id,path,title,author,album\n42,a/one.mp3,"One, two",Somebody,First\n43,c.mp3,x,y,z\n')
    first, second = tracks_of(ROWS, table)
    assert vars(first) == {
        **{"item_id": "42", "title": "One, two", "author": "Somebody", "album": "First", "album_artist": "unknown"},
    }
    assert (second.item_id, second.title, second.album) == ("b.mp3", "b", "unknown")
    assert "1 clip of the collection not in" in capsys.readouterr().err


def test_labels_and_folders_name_tracks_without_a_table():
    rows = [ClipRow(0, "x/y.mp3", "s", "g", "", {"title": "T", "artist": "A"}), ClipRow(1, "f/z.mp3", "s", "g", "")]
    assert [(track.title, track.author, track.album) for track in tracks_of(rows, None)] == [
        *(("T", "A", "x"), ("z", "unknown", "f")),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "columns path and item_id"),
        (b"path,title\na,b\n", "columns path and item_id"),
        (b"path,item_id\nz,1\n", "lists no clip of the collection"),
        (b"path,item_id\nb.mp3,1\na/one.mp3,1\n", "the item_id '1' occurs twice"),
        (b"path,item_id\nb.mp3,1\nb.mp3,2\n", "the path 'b.mp3' occurs twice"),
        (b"path,item_id\n\xff\xff,1\n", "not a CSV file in UTF-8"),
        (b"path,item_id\n" + b'"' + b"a" * 200_000 + b'",1\n', "not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        tracks_of(ROWS, tmp_path / "t.csv")
    with pytest.raises(MissingArtifact, match="no table of tracks"):
        tracks_of(ROWS, tmp_path / "none.csv")
