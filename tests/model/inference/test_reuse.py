"""An extraction computes only the clips that are new or have changed, and ends with the same bytes as a full one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import small_collection
import synthetic_audio
import tiny

from model import extract
from model.inference import extraction
from model.inference.reuse import EarlierClips, ReusableEmbeddings
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow, ClipRows


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


def _features(rows, windows):
    """Return features of clips with so many windows each; a window's number is its only value."""
    clip, count = np.repeat(np.arange(len(rows)), windows), len(rows) * windows
    spans = Spans(clip, np.zeros(count), np.ones(count, np.int64), np.zeros(count, bool))
    clips = ClipRows.of(rows)
    return FeatureStore(np.arange(count, dtype=np.float32)[:, None], clips.take(clip), {}, spans)


def _row(number, digest="d", frames=96):
    return ClipRow(number, f"clip {number}", "", "", "", {}, state="written", frames=frames, codes_digest=digest)


def test_a_clip_is_found_by_id_digest_and_length():
    earlier = EarlierClips.of(_features([_row(3), _row(1), _row(2, "")], 2), is_averaged=False)
    wanted = [_row(1), _row(3), _row(1, "other"), _row(1, frames=97), _row(2, ""), _row(9)]
    reusable = ReusableEmbeddings((earlier,))
    assert [row.id for row in reusable.missing(wanted)] == ["clip 1", "clip 1", "clip 2", "clip 9"]
    computed = np.full((2, 1), 7, np.float32)
    assert reusable.splice([_row(9), _row(1), _row(3)], computed, [2, 2, 2]).ravel().tolist() == [7, 7, 2, 3, 0, 1]


def test_means_of_windows_come_after_means_that_are_there():
    means = EarlierClips.of(_features([_row(0)], 1), is_averaged=False)
    windows = EarlierClips.of(_features([_row(0), _row(1)], 4), is_averaged=True)
    spliced = ReusableEmbeddings((means, windows)).splice([_row(1), _row(0)], None, [1, 1])
    assert spliced.ravel().tolist() == [5.5, 0]
