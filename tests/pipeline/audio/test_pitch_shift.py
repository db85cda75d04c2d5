"""A transposition moves every tone by its semitones, and keeps length and level."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import pitch_shift

SOURCE_RATE, RATE = 44_100, 16_000
CENTS_OF_A_TONE, CENTS_OF_A_CHORD = 0.42, 5.0


def _shift(samples, semitones, resampler="soxr", block=1 << 17, source_rate_hz=SOURCE_RATE):
    stream = pitch_shift.stream(resampler, source_rate_hz, RATE, semitones)
    blocks = [stream.push(samples[start : start + block]) for start in range(0, len(samples), block)]
    return np.concatenate([*blocks, stream.finish()])


def _peak_hz(samples, near_hz):
    """Return the frequency of the largest peak of the spectrum within half a semitone of `near_hz`, to 0.01 cents."""
    samples = samples[RATE // 2 : -RATE // 2]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 20))
    frequencies = np.fft.rfftfreq(1 << 20, 1 / RATE)
    near = np.flatnonzero(np.abs(np.log2(frequencies[1:] / near_hz)) < 1 / 24) + 1
    peak = near[np.argmax(power[near])]
    left, middle, right = np.log(power[peak - 1 : peak + 2])
    return (peak + (left - right) / 2 / (left - 2 * middle + right)) * RATE / (1 << 20)


def _cents(samples, hz, semitones):
    expected_hz = hz * 2 ** (semitones / 12)
    return abs(1200 * np.log2(_peak_hz(samples, expected_hz) / expected_hz))


@pytest.mark.parametrize("semitones", [-5, -1, 1, 6])
@pytest.mark.parametrize("resampler", ["soxr", "torchaudio"])
def test_a_tone_keeps_level_and_length_and_moves_to_the_cent(semitones, resampler):
    for hz in (110.0, 440.0, 1760.0):
        tone = synthetic_audio.sine(hz, 10.0, SOURCE_RATE)
        shifted = _shift(tone, semitones, resampler)
        assert len(shifted) == 10 * RATE
        assert _cents(shifted, hz, semitones) <= CENTS_OF_A_TONE
        middle = shifted[RATE:-RATE]
        assert abs(10 * np.log10(np.mean(middle**2) / np.mean(tone**2))) <= 0.03


@pytest.mark.parametrize("semitones", [-5, -1, 1, 6])
def test_every_tone_of_a_chord_moves_alike(semitones):
    tones_hz = (220.0, 261.63, 329.63, 440.0)
    shifted = _shift(sum(synthetic_audio.sine(hz, 10.0, SOURCE_RATE, 0.2) for hz in tones_hz), semitones)
    assert max(_cents(shifted, hz, semitones) for hz in tones_hz) <= CENTS_OF_A_CHORD


@pytest.mark.parametrize("samples", [1, 700, 4_000, 44_101])
def test_the_length_is_that_of_the_recording_however_short(samples):
    sound = synthetic_audio.noise(samples / SOURCE_RATE, SOURCE_RATE)
    for semitones in (-5, 6):
        assert len(_shift(sound, semitones)) == round(samples * RATE / SOURCE_RATE)


def test_blocks_of_any_length_give_the_same_samples():
    sound = synthetic_audio.chords(3.0, SOURCE_RATE)
    whole = _shift(sound, 3)
    for block in (997, 20_000):
        np.testing.assert_allclose(_shift(sound, 3, block=block), whole, atol=1e-6)


def test_no_transposition_is_the_plain_conversion_of_the_rate():
    sound = synthetic_audio.sine(440, 1.0, RATE)
    np.testing.assert_array_equal(_shift(sound, 0, source_rate_hz=RATE), sound)
