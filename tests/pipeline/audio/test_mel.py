"""The mel compared with nnAudio and with an independent implementation in float64, and its basic properties."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import synthetic_audio
import torch
from nnAudio.features.mel import MelSpectrogram

from pipeline.audio import mel as module
from pipeline.audio.mel import MelStream, hann, mel_power
from stores.errors import DecodeError, InvalidInput
from stores.mel_spec import MelSpec

SPEC = MelSpec()
SPECS = [SPEC, MelSpec(hop_samples=160), MelSpec(22_050, 1024, 256, 64, 20.0, 11_025.0)]
SOUNDS = {
    "chords": synthetic_audio.chords(3.0),
    "noise": synthetic_audio.noise(2.0),
    "chirp": synthetic_audio.chirp(20, 7900, 2.0),
    "square": synthetic_audio.square(250, 1.0),
    "quiet": 1e-3 * synthetic_audio.chords(2.0, seed=1),
    "shortest": synthetic_audio.noise(1.0)[: SPEC.min_samples],
    "odd": synthetic_audio.noise(2.0)[:20_011],
}


def _nnaudio(samples, spec):
    transform = MelSpectrogram(
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        hop_length=spec.hop_samples,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        verbose=False,
    )
    with torch.inference_mode():
        return transform(torch.from_numpy(samples)[None])[0].numpy()


def _slaney_hz(mels):
    """Return Hz of Slaney's mel scale: linear to 1 kHz, then 27 mels per factor of 6.4."""
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


def _slaney_mel(hz):
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _filters64(spec):
    """Return triangles between neighbors on the mel scale, each divided by half its width in Hz."""
    edges = _slaney_hz(np.linspace(_slaney_mel(spec.fmin_hz), _slaney_mel(spec.fmax_hz), spec.n_mels + 2))
    bins = np.arange(spec.n_fft // 2 + 1) * spec.sample_rate_hz / spec.n_fft
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def _mel64(samples, spec):
    padded = np.pad(samples.astype(np.float64), spec.n_fft // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
    starts = range(0, len(padded) - spec.n_fft + 1, spec.hop_samples)
    power = np.stack([np.abs(np.fft.rfft(padded[s : s + spec.n_fft] * window)) ** 2 for s in starts], axis=1)
    return _filters64(spec) @ power


def _assert_close(mel, expected):
    assert mel.shape == expected.shape
    assert np.abs(mel - expected).max() <= 1e-4 * expected.max()
    assert np.linalg.norm(mel - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("sound", SOUNDS)
def test_it_equals_the_mel_of_nnaudio(sound):
    _assert_close(mel_power(SOUNDS[sound], SPEC), _nnaudio(SOUNDS[sound], SPEC))


@pytest.mark.parametrize("spec", SPECS[1:])
def test_it_equals_the_mel_of_nnaudio_with_other_settings(spec):
    _assert_close(mel_power(SOUNDS["chords"], spec), _nnaudio(SOUNDS["chords"], spec))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("sound", ["chords", "chirp", "quiet"])
def test_it_equals_an_independent_mel_in_float64(sound, spec):
    _assert_close(mel_power(SOUNDS[sound], spec), _mel64(SOUNDS[sound], spec))


@pytest.mark.parametrize("hz", [110, 440, 1000, 2500, 6000])
def test_a_pure_tone_peaks_in_the_bin_whose_filter_is_nearest(hz):
    mel = mel_power(synthetic_audio.sine(hz, 1.0), SPEC)[:, 4:-4]
    edges = _slaney_hz(np.linspace(_slaney_mel(0), _slaney_mel(8000), SPEC.n_mels + 2))
    nearest = int(np.abs(edges[1:-1] - hz).argmin())
    assert (np.abs(mel.argmax(axis=0) - nearest) <= 1).all()


def test_twice_the_amplitude_is_four_times_the_power():
    quiet, loud = mel_power(SOUNDS["chords"], SPEC), mel_power(2 * SOUNDS["chords"], SPEC)
    np.testing.assert_allclose(loud, 4 * quiet, rtol=1e-5)


def test_silence_has_exactly_zero_power():
    assert not mel_power(np.zeros(16_000, np.float32), SPEC).any()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("extra", [0, 1, 511, 512, 513, 10_000])
def test_the_number_of_frames_is_that_of_the_specification(spec, extra):
    samples = synthetic_audio.noise(2.0)[: spec.min_samples + extra]
    mel = mel_power(samples, spec)
    assert mel.shape == (spec.n_mels, spec.frames_for(len(samples)))
    assert mel.dtype == np.float32
    assert (mel >= 0).all()


@pytest.mark.parametrize("samples", [0, 1, 1024])
def test_audio_shorter_than_half_a_window_is_too_short(samples):
    with pytest.raises(DecodeError, match=f"too_short: {samples} samples; a mel needs at least 1025"):
        mel_power(np.zeros(samples, np.float32), SPEC)


def test_the_block_size_does_not_change_the_mel(monkeypatch):
    samples = synthetic_audio.noise(20.0)
    blocks = mel_power(samples, SPEC)
    assert blocks.shape[1] > module.BLOCK_FRAMES
    monkeypatch.setattr(module, "BLOCK_FRAMES", 1 << 20)
    whole = mel_power(samples, SPEC)
    np.testing.assert_allclose(blocks, whole, rtol=1e-5, atol=1e-5 * whole.max())


def test_a_frame_depends_only_on_the_samples_around_it():
    samples = synthetic_audio.noise(3.0)
    whole, cut = mel_power(samples, SPEC), mel_power(samples[: 512 * 40], SPEC)
    np.testing.assert_allclose(cut[:, :38], whole[:, :38], rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")  # nnAudio warns and Myna raises
def test_empty_filters_are_an_error():
    with pytest.raises(InvalidInput, match="of 128 mel filters are empty; raise n_fft"):
        mel_power(synthetic_audio.noise(1.0), MelSpec(n_fft=256, hop_samples=128))


@pytest.mark.parametrize("loud", [1e20, 1e25, 3e38])
def test_samples_whose_power_overflows_are_rejected(loud):
    samples = synthetic_audio.noise(1.0)
    samples[8000] = loud
    with pytest.raises(DecodeError, match="not_finite"):
        mel_power(samples, SPEC)


def _stream(samples, spec, block):
    stream = MelStream(spec)
    blocks = [mel for start in range(0, len(samples), block) for mel in stream.push(samples[start : start + block])]
    return np.concatenate([*blocks, *stream.finish()], axis=1)


@pytest.mark.parametrize("spec", [*SPECS, MelSpec(hop_samples=1_024), MelSpec(hop_samples=2_048)])
@pytest.mark.parametrize("extra", [0, 1, 511, 512, 40_000, 90_003])
def test_a_stream_is_bit_for_bit_the_mel_of_the_whole(spec, extra):
    samples = synthetic_audio.noise(6.0)[: spec.min_samples + extra]
    whole = mel_power(samples, spec)
    assert whole.shape[1] == spec.frames_for(len(samples))
    for block in (997, 30_000, 10**6):
        np.testing.assert_array_equal(_stream(samples, spec, block), whole)


def test_a_stream_of_single_samples_is_the_mel_of_the_whole():
    samples = synthetic_audio.noise(1.0)[:3_000]
    np.testing.assert_array_equal(_stream(samples, SPEC, 1), mel_power(samples, SPEC))


def test_a_stream_that_is_too_short_is_rejected_at_its_end():
    stream = MelStream(SPEC)
    assert stream.push(np.zeros(1_000, np.float32)) == []
    with pytest.raises(DecodeError, match="too_short: 1000 samples"):
        stream.finish()


@pytest.mark.parametrize("length", [2, 256, 400, 1_024, 2_048, 4_096, 8_192])
def test_the_window_is_bit_for_bit_that_of_scipy(length):
    expected = scipy.signal.get_window("hann", length, fftbins=True).astype(np.float32)
    np.testing.assert_array_equal(hann(length), expected)


def test_neither_mel_nor_decoding_imports_scipy_signal():
    code = (
        "import sys, pipeline.audio.decode, pipeline.audio.mel, pipeline.audio.chroma, pipeline.ingestion.region_task"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('scipy.signal' in sys.modules)"],
        cwd=Path(module.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
