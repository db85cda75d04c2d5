"""Tests of the folder that an ingest writes: new, empty, a store, or something else."""

from __future__ import annotations

import pytest
import synthetic_audio

from pipeline import ingest
from pipeline.ingestion.store_folder import has_store
from stores.errors import InvalidInput
from stores.mel_store import MelStore


def test_an_empty_folder_becomes_the_store(tmp_path):
    synthetic_audio.write(tmp_path / "music" / "a.wav", synthetic_audio.chords(1.0))
    store = tmp_path / "empty"
    store.mkdir()
    words = ["folder", "--root", str(tmp_path / "music"), "--store", str(store), "--scheduler", "threads"]
    assert ingest.main([*words, "--dry-run"]) == 0
    assert list(store.iterdir()) == []
    for _ in range(2):
        assert ingest.main(words) == 0
        assert len(MelStore.open(store)) == 1
    assert has_store(store)


def test_a_path_where_nothing_is_can_become_a_store(tmp_path):
    assert not has_store(tmp_path / "new.zarr")


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda path: path.write_text("text"), "is a file; use --store with the path of a new or empty folder"),
        (lambda path: (path / "zarr").mkdir(parents=True), r"holds files, but no mel store; .* remove the folder"),
        (lambda path: path.symlink_to("none"), "is a link, and no mel store is there"),
    ],
)
def test_anything_else_is_an_error_that_says_what_to_do(tmp_path, make, advice, capsys):
    make(tmp_path / "x")
    with pytest.raises(InvalidInput, match=advice):
        has_store(tmp_path / "x")
    synthetic_audio.write(tmp_path / "music" / "a.wav", synthetic_audio.chords(1.0))
    words = ["folder", "--root", str(tmp_path / "music"), "--store", str(tmp_path / "x"), "--scheduler", "threads"]
    assert ingest.main(words) == 2
    assert "use --store with the path of a new" in capsys.readouterr().err


def test_a_mount_point_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("os.path.ismount", lambda path: True)
    with pytest.raises(InvalidInput, match=r"is a mount point.* a folder inside of it"):
        has_store(tmp_path)
