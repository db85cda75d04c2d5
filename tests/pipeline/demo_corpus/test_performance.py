"""Varied performances: what is drawn, what the room and the noise do, and that one clip is always played the same."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.datasets import demo
from pipeline.demo_corpus import performance, rendering_settings, synthesizer
from pipeline.demo_corpus.excerpt import VARIED, Excerpt, excerpt_notes
from pipeline.demo_corpus.parts import Note
from pipeline.demo_corpus.rendering_settings import ANY_PROGRAM, CLIP_TICKS, MAX_TEMPO, SAMPLE_RATE_HZ
from stores.errors import InvalidInput

TWO_PARTS = Excerpt((Note(0, 9600, 69, 0), Note(0, 9600, 57, 1)), VARIED, "", "", (), "a")
PLAIN = performance.Performance(0, (0, 40), (80, 80), 1.0, 0.0, 0.1, None, -6.0, 0)


def _varied_settings(soundfonts=()):
    return rendering_settings.rendering_settings_for(0, "any", soundfonts or [rendering_settings.default_soundfont()])


def test_performances_differ_and_stay_within_their_ranges():
    performances = [performance.draw(random.Random(seed), 2, ANY_PROGRAM, 3) for seed in range(200)]
    assert len({played.programs for played in performances}) > 150
    assert {played.soundfont for played in performances} == {0, 1, 2}
    assert 60 < sum(played.noise_decibels is None for played in performances) < 140
    assert 60 < sum(played.reverberation_seconds == 0 for played in performances) < 140
    for played in performances:
        assert set(played.programs) <= set(ANY_PROGRAM)
        assert performance.MIN_TEMPO <= played.tempo <= MAX_TEMPO
        assert -20 <= played.peak_decibels <= -1


def test_noise_and_peak_have_the_stated_levels():
    tone = np.sin(np.arange(220_500) * 0.2).astype(np.float32)
    quiet = performance.record(tone, PLAIN)
    assert np.abs(quiet).max() == pytest.approx(10 ** (-6 / 20), rel=1e-6)
    noisy = performance.record(tone, dataclasses.replace(PLAIN, noise_decibels=-30.0)).astype(np.float64)
    gain = noisy @ tone / (tone @ tone)
    noise = noisy - gain * tone
    assert 10 * np.log10(np.mean(noise**2) / np.mean((gain * tone) ** 2)) == pytest.approx(-30, abs=0.2)


def test_a_room_falls_by_60_decibels_in_its_time():
    click = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    click[0] = 1
    room = dataclasses.replace(PLAIN, reverberation_seconds=1.0, reverberation_share=0.3)
    heard = performance.record(click, room).astype(np.float64)
    heard /= heard[0]
    assert np.sum(heard[1:] ** 2) == pytest.approx(0.3, rel=0.05)
    early, late = (np.mean(heard[start:][:2_000] ** 2) for start in (2_205, 13_230))
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=2)
    assert np.abs(heard[SAMPLE_RATE_HZ + 5 :]).max() < 1e-6


def test_each_part_has_its_own_instrument_and_pitch_is_kept():
    soundfont = rendering_settings.default_soundfont().read_bytes()
    one, other = (
        synthesizer.render_samples(TWO_PARTS, 3, soundfont, dataclasses.replace(PLAIN, programs=programs))
        for programs in ((0, 40), (0, 73))
    )
    assert np.corrcoef(one, other)[0, 1] < 0.9
    spectrum = np.abs(np.fft.rfft(one[:22_050] * np.hanning(22_050)))
    assert 500 + np.argmax(spectrum[500:550]) == pytest.approx(523.25, rel=0.006)


def test_a_faster_performance_needs_a_longer_excerpt():
    settings = _varied_settings()
    assert settings.excerpt_ticks == CLIP_TICKS * MAX_TEMPO
    notes = (Note(0, 480, 60, 0), Note(0, 960, 60, 1), Note(CLIP_TICKS + 10, 2 * CLIP_TICKS, 62, 0))
    assert excerpt_notes(notes, 0, settings.excerpt_ticks) == (*notes[:2], Note(CLIP_TICKS + 10, 12_000, 62, 0))


def test_several_soundfonts_need_any_and_other_files_are_no_soundfonts(tmp_path):
    fonts = [rendering_settings.default_soundfont()] * 2
    with pytest.raises(InvalidInput, match="2 soundfonts need --programs any"):
        rendering_settings.rendering_settings_for(0, (0,), fonts)
    assert _varied_settings(fonts).soundfont_sha256.count("+") == 1
    (tmp_path / "font.sf3").write_bytes(b"not a soundfont")
    with pytest.raises(InvalidInput, match=r"font\.sf3 is no SF2 soundfont"):
        demo.tracks(tmp_path, 12, programs="any", soundfonts=[tmp_path / "font.sf3"])
    with pytest.raises(InvalidInput, match=r"gone\.sf2 cannot be read: No such file"):
        demo.tracks(tmp_path, 12, soundfonts=[Path("gone.sf2")])


def test_settings_of_plain_clips_keep_the_digest_of_their_folder():
    plain = rendering_settings.rendering_settings_for(0, (0,), [rendering_settings.default_soundfont()])
    fields = {name: value for name, value in dataclasses.asdict(plain).items() if name != "varied"}
    assert plain.digest() == rendering_settings.digest(fields)
    assert _varied_settings().digest() != plain.digest()


def test_a_performance_without_sound_is_drawn_again(tmp_path, monkeypatch):
    clips = iter([np.zeros(220_500, np.float32), np.full(220_500, 0.5, np.float32)])
    monkeypatch.setattr(synthesizer, "render_samples", lambda *_: next(clips))
    fonts = [rendering_settings.default_soundfont()]
    synthesizer.write_clips(TWO_PARTS, tmp_path / "irish/tune", _varied_settings(), fonts, [0])
    assert soundfile.read(tmp_path / "irish/tune/+00.flac")[0].max() == pytest.approx(0.5, abs=1e-4)
    monkeypatch.setattr(synthesizer, "render_samples", lambda *_: np.zeros(220_500, np.float32))
    with pytest.raises(InvalidInput, match="tune: 20 performances are silent; use other soundfonts"):
        synthesizer.write_clips(TWO_PARTS, tmp_path / "irish/tune", _varied_settings(), fonts, [1])


@pytest.mark.slow
def test_clips_of_a_piece_differ_in_timbre_and_are_one_group(tmp_path):
    first = demo.tracks(tmp_path / "a", 12, programs="any", workers=1, quiet=True).tracks
    again = demo.tracks(tmp_path / "b", 12, programs="any", workers=2, quiet=True).tracks
    assert [track.path.read_bytes() for track in first] == [track.path.read_bytes() for track in again]
    assert len({(track.group, track.split) for track in first}) == 1
    assert "different instruments" in next(tmp_path.rglob("captions.csv")).read_text()
