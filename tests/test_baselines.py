"""What a trained encoder has to beat, against slow definitions of the same."""

from __future__ import annotations

import numpy as np
import pytest
import synth

from model.inference.baselines import mean_chroma_of_audio, mean_log_mel
from pipeline import ingest
from stores.errors import MissingArtefact
from stores.mel_store import MelStore


@pytest.fixture
def tones(tmp_path):
    """A store of three pure tones, A, C and E, and the folder of their recordings."""
    root = tmp_path / "music"
    for name, hz in (("a", 440.0), ("c", 523.25), ("e", 659.26)):
        synth.write(root / f"{name}.wav", synth.sine(hz, 2.0))
    arguments = ["folder", "--root", str(root), "--store", str(tmp_path / "t.zarr"), "--scheduler", "threads"]
    assert ingest.main([*arguments, "--workers", "1"]) == 0
    return MelStore.open(tmp_path / "t.zarr"), root


def test_mean_log_mel_is_the_mean_over_frames_of_what_the_store_decodes(make_store):
    store = make_store([40, 300, 0, 96])
    rows = [row for row in store.rows if row.state == "written"]
    found = mean_log_mel(store, rows)
    assert found.shape == (3, 128)
    assert found.dtype == np.float32
    for row, mean in zip(rows, found, strict=True):
        mel = store.clip(row.index).astype(np.float64)
        np.testing.assert_allclose(mean, np.log1p(mel).mean(axis=1), rtol=1e-5)


def test_mean_log_mel_follows_the_order_of_the_rows(make_store):
    store = make_store([100, 200])
    np.testing.assert_array_equal(mean_log_mel(store, store.rows[::-1]), mean_log_mel(store, store.rows)[::-1])


def test_the_chroma_of_a_pure_tone_is_its_pitch_class(tones):
    store, _ = tones
    found = mean_chroma_of_audio(store, store.rows)
    assert found.shape == (3, 12)
    assert found.dtype == np.float32
    loudest = dict(zip([row.id for row in store.rows], found.argmax(axis=1).tolist(), strict=True))
    assert (loudest["c.wav"] - loudest["a.wav"]) % 12 == 3
    assert (loudest["e.wav"] - loudest["a.wav"]) % 12 == 7


def test_audio_that_is_gone_is_named(tones):
    store, root = tones
    (root / "c.wav").unlink()
    with pytest.raises(MissingArtefact, match=r"music/c\.wav is not there any more; chroma needs the audio"):
        mean_chroma_of_audio(store, store.rows)
