"""The codes of a clip from blocks of its recording are bit for bit those of the whole clip."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import code_spool
from pipeline.audio.clip_encoder import ClipEncoder
from pipeline.audio.cut import cut
from pipeline.audio.mel import mel_power
from stores.digest import codes_digest
from stores.errors import DecodeError
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

SPEC, RATE = MelSpec(), 16_000
SOUND = synthetic_audio.chords(12.0)


def _encode(samples, start=0.0, seconds=0.0, max_frames=1_000, block=7_777, quantizer=None):
    encoder = ClipEncoder(SPEC, quantizer or Quantizer(), start, seconds, max_frames)
    for position in range(0, len(samples), block):
        encoder.push(samples[position : position + block])
    return encoder


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize(("start", "seconds"), [(0.0, 0.0), (1.3, 0.0), (0.0, 5.0), (2.7, 4.1), (10.0, 5.0)])
@pytest.mark.parametrize("block", [999, 40_000, 10**6])
def test_the_codes_are_those_of_the_clip_as_a_whole(bits, start, seconds, block):
    quantizer = Quantizer(bits=bits)
    codes, digest = _encode(SOUND, start, seconds, block=block, quantizer=quantizer).take()
    expected = quantizer.encode(mel_power(cut(SOUND, RATE, start, seconds), SPEC))
    np.testing.assert_array_equal(codes, expected)
    assert digest == codes_digest(expected)


def test_a_long_clip_is_encoded_to_a_file_with_the_same_codes(monkeypatch):
    expected, digest = _encode(SOUND).take()
    monkeypatch.setattr(code_spool, "MAX_MEMORY_BYTES", 0)
    spooled, spooled_digest = _encode(SOUND).take()
    assert not isinstance(spooled, np.ndarray)
    np.testing.assert_array_equal(np.asarray(spooled), expected)
    assert spooled_digest == digest


def test_a_clip_with_too_many_frames_is_only_counted():
    encoder = _encode(SOUND, max_frames=100)
    assert encoder.is_too_long
    assert encoder.frames == SPEC.frames_for(len(SOUND))


def test_a_cut_clip_always_has_space():
    encoder = _encode(SOUND, 1.0, 8.0, max_frames=0)
    assert not encoder.is_too_long
    assert encoder.take()[0].shape == (128, SPEC.frames_for(8 * RATE))


def test_a_clip_behind_the_end_is_too_short():
    encoder = _encode(SOUND, 13.0, 5.0)
    assert encoder.levels.samples == 0
    with pytest.raises(DecodeError, match="too_short: 0 samples"):
        encoder.take()


def test_power_that_overflows_is_a_rejection_at_the_end():
    samples = SOUND.copy()
    samples[50_000] = 3e38
    with pytest.raises(DecodeError, match="not_finite"):
        _encode(samples).take()
