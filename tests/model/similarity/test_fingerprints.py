"""Fingerprints agree for the same sound at the right offset, and by chance for other sounds."""

from __future__ import annotations

import numpy as np
import pytest
import small_collection
import synthetic_audio

from model.similarity.fingerprints import MIN_AGREEMENT, Fingerprint
from pipeline.audio.mel import mel_power
from stores.mel_spec import MelSpec

MIN_FRAMES = 200
SPEC = MelSpec()


def _fingerprint(samples):
    return Fingerprint.of_mel(mel_power(samples, SPEC))


@pytest.fixture(scope="module")
def song():
    return synthetic_audio.chords(20, seed=1)


def test_a_quieter_cut_is_found_at_its_offset(song):
    cut = 0.1 * song[int(4.37 * synthetic_audio.RATE_HZ) :]
    match = _fingerprint(song).align(_fingerprint(cut), MIN_FRAMES)
    assert match.agreement > 0.5
    assert SPEC.seconds_for(match.offset_frames) == pytest.approx(4.37, abs=0.1)
    assert SPEC.seconds_for(match.overlap_frames) == pytest.approx(15.6, abs=0.5)


def test_an_offset_is_negative_if_the_second_recording_begins_earlier(song):
    cut = song[int(4.37 * synthetic_audio.RATE_HZ) :]
    match = _fingerprint(cut).align(_fingerprint(song), MIN_FRAMES)
    assert SPEC.seconds_for(match.offset_frames) == pytest.approx(-4.37, abs=0.1)


def test_other_music_of_the_same_kind_agrees_by_chance_only(song):
    agreements = [
        _fingerprint(song).align(_fingerprint(small_collection.song(number)), MIN_FRAMES).agreement
        for number in range(3, 6)
    ]
    assert max(agreements) < MIN_AGREEMENT / 2


def test_silence_agrees_with_nothing(song):
    silence = Fingerprint.of_mel(np.zeros((128, 600), np.float32))
    assert not silence.signs.any()
    assert _fingerprint(song).align(silence, MIN_FRAMES).agreement == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("frames", [1, 5, 7])
def test_recordings_of_few_frames_are_compared_without_an_error(song, frames):
    short = Fingerprint.of_mel(np.ones((128, frames), np.float32))
    assert _fingerprint(song).align(short, MIN_FRAMES).agreement < MIN_AGREEMENT
