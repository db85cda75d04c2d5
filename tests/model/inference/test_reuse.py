"""An extraction computes only the clips that are new or have changed, and ends with the same bytes as a full one."""

from __future__ import annotations

import shutil

import pytest
import small_collection
import synthetic_audio
import tiny

from model import extract
from model.inference import extraction
from stores.features import FeatureStore


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        synthetic_audio.write(tmp_path / "music" / f"{number}.wav", synthetic_audio.chords(70, seed=number))
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


@pytest.fixture
def computed(monkeypatch):
    """Return a list to which every extraction adds the ids of the clips that it computes."""
    ids = []
    compute_parts = extraction.Extraction.compute_parts

    def record(self, store, parts):
        ids.extend(row.id for part in parts for row in part)
        return compute_parts(self, store, parts)

    monkeypatch.setattr(extraction.Extraction, "compute_parts", record)
    return ids


def _extract(workplace, *words):
    small_collection.ingest_music(workplace / "music", workplace / "stores" / "mine.zarr")
    assert extract.main(["mine", *words]) == 0


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_only_new_and_changed_clips_are_computed_again(workplace, computed, pool):
    _extract(workplace, "--pool", pool)
    synthetic_audio.write(workplace / "music" / "1.wav", synthetic_audio.chords(65, seed=8))
    synthetic_audio.write(workplace / "music" / "0 new.wav", synthetic_audio.chords(64, seed=9))
    computed.clear()
    _extract(workplace, "--pool", pool)
    assert sorted(computed) == ["0 new.wav", "1.wav"]
    (path,) = (workplace / "stores").glob("*.features.zarr")
    again = FeatureStore.read(path)
    shutil.rmtree(path)
    _extract(workplace, "--pool", pool)
    full = FeatureStore.read(path)
    assert full.embeddings.tobytes() == again.embeddings.tobytes()
    assert full.provenance == again.provenance


@pytest.mark.slow
def test_means_are_computed_from_the_windows_that_are_there(workplace, computed):
    _extract(workplace)
    path = workplace / "stores" / "mine.first.features.zarr"
    expected = FeatureStore.read(path).embeddings.tobytes()
    shutil.rmtree(path)
    _extract(workplace, "--pool", "none")
    computed.clear()
    _extract(workplace)
    assert computed == []
    assert FeatureStore.read(path).embeddings.tobytes() == expected


@pytest.mark.slow
def test_another_encoder_reuses_nothing(workplace, computed):
    _extract(workplace)
    tiny.write_run(workplace / "runs" / "first", tiny.train_config(seed=8))
    computed.clear()
    _extract(workplace)
    assert len(computed) == 3
