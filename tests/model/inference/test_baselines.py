"""Baseline features are compared with slow definitions of the same features."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from model.inference.baselines import mean_chroma_of_audio, mean_log_mel, mfcc
from pipeline import ingest
from stores.errors import MissingArtifact
from stores.mel_store import MelStore


@pytest.fixture
def tones(tmp_path):
    """A store of three pure tones, A, C and E, and the folder of their recordings."""
    root = tmp_path / "music"
    for name, hz in (("a", 440.0), ("c", 523.25), ("e", 659.26)):
        synthetic_audio.write(root / f"{name}.wav", synthetic_audio.sine(hz, 2.0))
    arguments = ["folder", "--root", str(root), "--store", str(tmp_path / "t.zarr"), "--scheduler", "threads"]
    assert ingest.main([*arguments, "--workers", "1"]) == 0
    return MelStore.open(tmp_path / "t.zarr"), root


def test_mean_log_mel_is_the_mean_over_frames_of_log_power(make_store):
    store = make_store([40, 300, 0, 96])
    rows = [row for row in store.rows if row.state == "written"]
    features = mean_log_mel(store, rows)
    assert features.shape == (3, 128)
    assert features.dtype == np.float32
    for row, mean in zip(rows, features, strict=True):
        mel = store.clip(row.index).astype(np.float64)
        np.testing.assert_allclose(mean, np.log1p(mel).mean(axis=1), rtol=1e-5)


def test_mean_log_mel_follows_the_order_of_the_rows(make_store):
    store = make_store([100, 200])
    np.testing.assert_array_equal(mean_log_mel(store, store.rows[::-1]), mean_log_mel(store, store.rows)[::-1])


def test_the_chroma_of_a_pure_tone_is_its_pitch_class(tones):
    store, _ = tones
    features = mean_chroma_of_audio(store, store.rows)
    assert features.shape == (3, 12)
    assert features.dtype == np.float32
    loudest = dict(zip([row.id for row in store.rows], features.argmax(axis=1).tolist(), strict=True))
    assert (loudest["c.wav"] - loudest["a.wav"]) % 12 == 3
    assert (loudest["e.wav"] - loudest["a.wav"]) % 12 == 7


def test_missing_audio_is_an_error_that_names_the_file(tones):
    store, root = tones
    (root / "c.wav").unlink()
    with pytest.raises(MissingArtifact, match=r"music/c\.wav does not exist; chroma needs the audio"):
        mean_chroma_of_audio(store, store.rows)


def test_cepstral_coefficients_are_the_cosine_transform_of_decibels(make_store):
    """The reference is the orthonormal DCT-II with its sums written out, limited to 80 dB below the loudest cell."""
    store = make_store([40, 7])
    features = mfcc(store, store.rows)
    assert features.shape == (2, 120)
    assert features.dtype == np.float32
    bands = np.arange(128)
    basis = np.sqrt(2 / 128) * np.cos(np.pi * np.arange(20)[:, None] * (2 * bands + 1) / 256)
    basis[0] /= np.sqrt(2)
    for row, summary in zip(store.rows, features, strict=True):
        decibels = 10 * np.log10(np.maximum(store.clip(row.index).astype(np.float64), 1e-10))
        cepstrum = basis @ np.maximum(decibels, decibels.max() - 80)
        first = cepstrum[:, 1:] - cepstrum[:, :-1]
        second = first[:, 1:] - first[:, :-1]
        parts = [part for values in (cepstrum, first, second) for part in (values.mean(1), values.std(1))]
        np.testing.assert_allclose(summary, np.concatenate(parts), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 2])
def test_cepstral_coefficients_of_clips_with_one_or_two_frames_are_finite(make_store, frames):
    store = make_store([frames])
    features = mfcc(store, store.rows)[0]
    assert np.isfinite(features).all()
    assert not features[-40:].any()
