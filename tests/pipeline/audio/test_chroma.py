"""The chroma of tones with known pitch classes."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio.chroma import N_FFT, mean_chroma

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def _note_hz(midi):
    return 440 * 2 ** ((midi - 69) / 12)


@pytest.mark.parametrize("midi", range(48, 84))
def test_a_tone_peaks_at_its_pitch_class_in_every_octave(midi):
    chroma = mean_chroma(synthetic_audio.sine(_note_hz(midi), 1.0), 16_000)
    assert (chroma.shape, chroma.dtype) == ((12,), np.float32)
    assert PITCH_CLASSES[chroma.argmax()] == PITCH_CLASSES[midi % 12]
    assert chroma.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100])
def test_the_rate_does_not_matter(rate_hz):
    assert PITCH_CLASSES[mean_chroma(synthetic_audio.sine(440, 1.0, rate_hz), rate_hz).argmax()] == "A"


def test_a_triad_has_its_three_notes():
    samples = sum(synthetic_audio.sine(_note_hz(midi), 1.0, amplitude=0.2) for midi in (60, 64, 67))
    chroma = mean_chroma(samples, 16_000)
    assert {PITCH_CLASSES[i] for i in np.argsort(chroma)[-3:]} == {"C", "E", "G"}


def test_loudness_does_not_matter():
    samples = synthetic_audio.chords(2.0)
    np.testing.assert_allclose(mean_chroma(samples, 16_000), mean_chroma(samples * 1e-2, 16_000), atol=1e-4)


def test_transposing_a_tone_by_an_octave_keeps_its_pitch_class():
    low, high = (mean_chroma(synthetic_audio.sine(hz, 1.0), 16_000) for hz in (440, 880))
    assert low.argmax() == high.argmax()


@pytest.mark.parametrize("samples", [0, 1, 100, N_FFT, 3 * N_FFT + 1])
def test_silence_of_any_length_gives_zeros(samples):
    assert mean_chroma(np.zeros(samples, np.float32), 16_000).tolist() == [0] * 12


def test_a_sound_shorter_than_a_window_is_padded():
    assert PITCH_CLASSES[mean_chroma(synthetic_audio.sine(440, 0.2), 16_000).argmax()] == "A"


def test_values_lie_between_zero_and_one():
    chroma = mean_chroma(synthetic_audio.noise(2.0), 16_000)
    assert (chroma >= 0).all()
    assert (chroma <= 1).all()
