"""Samples out of scale, clipped samples and channels that cancel are found, and ordinary ones are not."""

from __future__ import annotations

import irregular_audio as irregular
import numpy as np
import pytest
import synthetic_audio

from pipeline.audio.decode import decode
from pipeline.audio.levels import LevelMeter, MonoLevels, SpanLevels, judge

RATE = 16_000


def _stereo(left, right):
    return np.stack([left, right], axis=1)


def _decode(tmp_path, samples, subtype="FLOAT", suffix=".wav", rate_hz=RATE):
    return decode(synthetic_audio.write(tmp_path / f"x{suffix}", samples, rate_hz, subtype=subtype), RATE)


@pytest.mark.parametrize(
    ("scale", "divisor"), [(2**15, 32_768), (2**23, 8_388_608), (2**31, 2_147_483_648), (100, 128), (10, 8), (12, 16)]
)
def test_samples_at_another_scale_are_named_with_the_factor(tmp_path, scale, divisor):
    audio = _decode(tmp_path, synthetic_audio.chords(2.0) * np.float32(scale))
    assert "out_of_scale" in audio.warnings
    assert f"divide the samples by {divisor}" in audio.decoder_warnings


def test_quiet_integers_are_out_of_scale_too(tmp_path):
    audio = _decode(tmp_path, np.rint(0.01 * synthetic_audio.chords(2.0) * 2**15).astype(np.float32))
    assert "out_of_scale" in audio.warnings


def test_samples_beyond_any_scale_are_not_explained(tmp_path):
    audio = _decode(tmp_path, synthetic_audio.chords(2.0) * np.float32(1e15))
    assert audio.decoder_warnings.endswith("this is no common scale, so check the file")


@pytest.mark.parametrize(("gain", "share"), [(1.5, 0.05), (2.0, 0.05)])
def test_samples_beyond_full_scale_are_counted(tmp_path, gain, share):
    samples = synthetic_audio.sine(440, 2.0, amplitude=0.5)
    loud = int(share * len(samples))
    samples[:loud] = gain
    audio = _decode(tmp_path, samples)
    assert audio.warnings == ("clipped",)
    assert audio.decoder_warnings.startswith(f"{100 * share:.3g} % of the samples are beyond full scale")


def test_a_few_samples_just_beyond_full_scale_are_ordinary_and_a_high_peak_is_not(tmp_path):
    samples = synthetic_audio.sine(440, 2.0)
    samples[:3] = 1.1
    assert _decode(tmp_path, samples).warnings == ()
    samples[5] = 100.0
    assert _decode(tmp_path, samples).warnings == ("clipped",)


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".opus", ".m4a"])
def test_loud_music_that_a_codec_overshoots_has_no_warning(tmp_path, suffix):
    loud = np.clip(8 * synthetic_audio.chords(3.0, 48_000), -1, 1)
    audio = _decode(tmp_path, _stereo(loud, np.roll(loud, 100)), None, suffix, 48_000)
    assert np.abs(audio.samples).max() > 0.9
    assert audio.warnings == ()


@pytest.mark.parametrize("rate_hz", [RATE, 44_100])
def test_the_loudest_possible_signal_has_no_warning(tmp_path, rate_hz):
    assert _decode(tmp_path, synthetic_audio.square(250, 2.0, rate_hz), "PCM_16", rate_hz=rate_hz).warnings == ()


def test_float_samples_at_full_scale_have_no_warning(tmp_path):
    assert _decode(tmp_path, synthetic_audio.square(250, 2.0)).warnings == ()


def test_channels_of_opposite_polarity_cancel(tmp_path):
    left = synthetic_audio.chords(2.0)
    audio = _decode(tmp_path, _stereo(left, -left))
    assert audio.warnings == ("channels_cancel",)
    assert "their mean loses everything" in audio.decoder_warnings
    assert _decode(tmp_path, _stereo(left, -left), "PCM_16").warnings == ("channels_cancel",)


@pytest.mark.parametrize(("factor", "loss_db"), [(-0.98, 39.9), (-0.9, 25.6), (-0.75, 17.0)])
def test_channels_that_nearly_cancel_are_named_with_the_loss(tmp_path, factor, loss_db):
    left = synthetic_audio.chords(2.0)
    audio = _decode(tmp_path, _stereo(left, factor * left))
    assert audio.warnings == ("downmix_loss",)
    assert f"loses {loss_db} dB" in audio.decoder_warnings


@pytest.mark.parametrize("seconds", [10.0, 30.0])
def test_channels_that_cancel_in_a_stretch_are_named_with_its_share(tmp_path, seconds):
    left = synthetic_audio.noise(60.0)
    right = left.copy()
    right[: int(seconds * RATE)] *= -0.98
    audio = _decode(tmp_path, _stereo(left, right), "PCM_16", ".flac")
    assert audio.warnings == ("downmix_loss",)
    share = int(audio.decoder_warnings.split("in about ")[1].split(" %")[0])
    assert 0.5 * seconds / 60 <= share / 100 <= seconds / 60


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_short_stretch_counts_although_all_of_the_file_is_one_block(order):
    block = np.repeat(synthetic_audio.noise(10.0, 44_100)[:, None], 2, axis=1).copy(order)
    block[4 * 44_100 : 7 * 44_100, 1] *= -1
    meter = LevelMeter([(0.0, np.inf)])
    meter.add(block, block.mean(axis=1), 44_100, with_peak=False)
    verdict = judge(meter.levels[0], MonoLevels(samples=160_000, peak=0.3), stores_floats=False)
    assert [name for name, _ in verdict.warnings] == ["downmix_loss"]
    assert "in about 15 % of the samples" in verdict.warnings[0][1]


def test_opposite_channels_that_a_codec_has_changed_still_cancel(tmp_path):
    left = synthetic_audio.chords(3.0, 44_100)
    path = irregular.encode(tmp_path / "x.flac", "-c:a", "flac")
    synthetic_audio.write(path, _stereo(left, -0.9999 * left), 44_100)
    assert decode(path, RATE).warnings == ("channels_cancel",)


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_channels_without_correlation_have_no_warning(tmp_path, channels):
    samples = np.stack([synthetic_audio.noise(1.0, seed=k) for k in range(channels)], axis=1)
    assert _decode(tmp_path, samples).warnings == ()


def test_one_channel_of_two_has_no_warning(tmp_path):
    assert _decode(tmp_path, _stereo(synthetic_audio.noise(), np.zeros(RATE))).warnings == ()


def test_silence_is_silent_and_does_not_cancel():
    rng = np.random.default_rng(0)
    block = rng.integers(-1, 2, (RATE, 2)).astype(np.float32) / 2**15
    block[:, 1] = -block[:, 0]
    source, mono = SpanLevels(), MonoLevels()
    source.add(block, block.mean(axis=1), with_peak=False)
    mono.add(block.mean(axis=1))
    assert judge(source, mono, stores_floats=False).reason == "silent"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_counted(bad):
    mono = MonoLevels()
    for samples in (np.ones(10), np.array([1, bad, 0.5, bad]), np.ones(3)):
        mono.add(samples.astype(np.float32))
    verdict = judge(SpanLevels(), mono, stores_floats=False)
    assert (verdict.reason, verdict.detail) == ("not_finite", "2 samples are NaN or infinite")


def test_spans_are_measured_to_the_sample_in_blocks_of_any_length():
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.3, (20_000, 2)).astype(np.float32)
    spans = [(0.0, 0.5), (0.25, 1.0), (1.1, np.inf), (5.0, 6.0)]
    meter = LevelMeter(spans)
    for start in range(0, len(sound), 777):
        block = sound[start : start + 777]
        meter.add(block, block.mean(axis=1), RATE, with_peak=True)
    for (first, last), levels in zip(spans, meter.levels, strict=True):
        part = sound[round(first * RATE) : None if last == np.inf else round(last * RATE)]
        assert levels.samples == part.size
        assert levels.channel_power == pytest.approx((part**2).sum() / 2, rel=1e-5, abs=1e-9)
        assert levels.mono_power == pytest.approx((part.mean(axis=1) ** 2).sum(), rel=1e-5, abs=1e-9)
        assert levels.peak == pytest.approx(np.abs(part).max(initial=0))
        assert levels.over_samples == np.count_nonzero(np.abs(part) > 1)
