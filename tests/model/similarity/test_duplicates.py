"""Near-duplicates of a folder: the copy is found, and nothing else."""

from __future__ import annotations

import pytest
import small_collection

from model.similarity import duplicates


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    return small_collection.ingest_music(small_collection.write_music(folder), folder / "mel.zarr")


@pytest.mark.parametrize("windows", [1, 4])
def test_a_cut_and_quieter_mp3_is_found_with_its_offset_and_nothing_else(store, tmp_path, windows):
    features = small_collection.features(store, tmp_path / "x.features.zarr", windows)
    (pair,) = duplicates.find(features, store)
    assert (pair.first.id, pair.second.id) == ("a/one.wav", "copies/eins.mp3")
    assert pair.offset_seconds == pytest.approx(3.03, abs=0.12)
    assert pair.overlap_seconds == pytest.approx(12.9, abs=0.5)


def test_only_neighbors_in_the_embedding_are_compared(store, tmp_path, monkeypatch):
    features = small_collection.features(store, tmp_path / "x.features.zarr")
    monkeypatch.setattr(duplicates, "NEIGHBORS", 1)
    assert 4 <= len(duplicates.propose(features)) <= 7
    monkeypatch.setattr(duplicates, "NEIGHBORS", 20)
    assert len(duplicates.propose(features)) == 7 * 6 // 2


def test_pairs_that_share_a_clip_are_one_group(store):
    rows = list(store.rows)
    pairs = [
        duplicates.DuplicatePair(rows[a], rows[b], 0.9, 0.0, 10.0) for a, b in ((0, 1), (2, 3), (1, 4), (4, 0), (3, 5))
    ]
    names = [sorted(row.index for row in group) for group in duplicates.groups(pairs)]
    assert names == [[0, 1, 4], [2, 3, 5]]
