"""One recording becomes rows and codes: warnings, rejections, lengths, cuts, and memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import irregular_audio as irregular
import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import code_spool, ffmpeg
from pipeline.ingestion import recording
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

ROOT = Path(recording.__file__).parents[2]
RATE = 16_000


def _settings(root, **settings):
    return DecodeSettings(root, MelSpec(), Quantizer(), Limits(), **settings)


def _row(path, **fields):
    return replace(ClipRow(0, path.name, path.name, path.name, "", bound_frames=5_000), **fields)


def _read(path, settings=None, **fields):
    ((row, codes),) = recording.read(settings or _settings(path.parent), [_row(path, **fields)])
    return row, codes


def test_a_sound_recording_has_lengths_and_no_warning(tmp_path):
    row, codes = _read(synthetic_audio.write(tmp_path / "x.flac", irregular.music(), 44_100))
    assert (row.state, row.warnings, row.detail) == ("written", "", "")
    assert (row.decoded_seconds, row.expected_seconds) == (pytest.approx(2.0), pytest.approx(2.0))
    assert codes.shape == (128, row.frames)


def test_a_short_recording_is_stored_with_both_lengths(tmp_path):
    row, _ = _read(irregular.cut(synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100)))
    assert (row.state, row.warnings) == ("written", "short")
    assert (row.decoded_seconds, row.expected_seconds) == (pytest.approx(1.0, abs=1e-3), pytest.approx(2.0))
    assert row.detail == "1.00 s are stored, but the header states 2.00 s"


def test_several_warnings_are_joined(tmp_path):
    samples = np.stack([2 * synthetic_audio.chords(2.0), -1.9 * synthetic_audio.chords(2.0)], axis=1)
    path = irregular.cut(synthetic_audio.write(tmp_path / "x.wav", samples, subtype="FLOAT"))
    assert _read(path)[0].warnings == "short|clipped|downmix_loss"


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (synthetic_audio.chords(2.0) * 2**15, "out_of_scale"),
        (np.stack([synthetic_audio.chords(2.0), -synthetic_audio.chords(2.0)], axis=1), "channels_cancel"),
        (np.zeros((RATE, 2)), "silent"),
    ],
)
def test_levels_that_make_a_clip_useless_reject_it(tmp_path, samples, reason):
    row, codes = _read(synthetic_audio.write(tmp_path / "x.wav", samples.astype(np.float32), subtype="FLOAT"))
    assert (row.state, row.reason, row.warnings, codes) == ("refused", reason, "", None)
    assert row.detail


def test_datasets_that_keep_silence_keep_cancelled_channels_and_name_them(tmp_path):
    samples = np.stack([synthetic_audio.chords(2.0), -synthetic_audio.chords(2.0)], axis=1)
    path = synthetic_audio.write(tmp_path / "x.wav", samples, subtype="FLOAT")
    row, _ = _read(path, _settings(tmp_path, keeps_silence=True))
    assert (row.state, row.silent, row.warnings) == ("written", True, "channels_cancel")


def test_levels_are_those_of_the_clip_and_not_of_its_recording(tmp_path):
    loud = synthetic_audio.chords(6.0)
    left, right = loud.copy(), loud.copy()
    right[2 * RATE : 4 * RATE] *= -1
    path = synthetic_audio.write(tmp_path / "x.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    clips = [_row(path, index=k, cut_start_seconds=2.0 * k, cut_seconds=2.0) for k in range(3)]
    rows = [row for row, _ in recording.read(_settings(tmp_path), clips)]
    assert [row.reason for row in rows] == ["", "channels_cancel", ""]


def test_a_clip_before_the_missing_part_is_complete_and_one_inside_it_is_short(tmp_path):
    path = irregular.cut(synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(10.0), subtype="PCM_16"))
    clips = [_row(path, index=k, cut_start_seconds=2.0 * k, cut_seconds=2.0) for k in range(3)]
    rows = [row for row, _ in recording.read(_settings(tmp_path), clips)]
    assert [row.warnings for row in rows] == ["", "", "short"]
    assert rows[2].detail == "the clip lasts until 6.00 s, but 5.00 s of the recording could be decoded of 10.00 s"


def test_a_clip_that_ends_a_little_behind_its_recording_has_no_warning(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(9.8))
    assert _read(path, cut_seconds=10.0)[0].warnings == ""


def test_a_recording_that_is_already_cut_is_stored_whole(tmp_path):
    whole = synthetic_audio.write(tmp_path / "whole.wav", synthetic_audio.chords(20.0))
    clip = synthetic_audio.write(tmp_path / "clip.wav", synthetic_audio.chords(20.0)[8 * RATE : 18 * RATE])
    settings = _settings(tmp_path, cut_slack_seconds=0.5)
    cut = {"cut_start_seconds": 8.0, "cut_seconds": 10.0}
    (row, codes), (clip_row, clip_codes) = _read(whole, settings, **cut), _read(clip, settings, **cut)
    assert (row.cut_start_seconds, clip_row.cut_start_seconds, clip_row.warnings) == (8.0, 0.0, "")
    np.testing.assert_array_equal(codes, clip_codes)


def test_a_recording_that_is_longer_than_its_bound_keeps_its_plan_and_gets_its_length(tmp_path):
    part = irregular.mp3(tmp_path / "part.mp3")
    path = irregular.join(tmp_path / "joined.mp3", part, part, part)
    row, codes = _read(path, bound_frames=70)
    assert (row.state, codes) == ("planned", None)
    assert row.frames == MelSpec().frames_for(round(row.decoded_seconds * RATE))
    row, codes = _read(path, bound_frames=row.frames)
    assert (row.state, codes.shape[1]) == ("written", row.frames)


def test_a_long_recording_is_spooled_with_the_same_codes_and_digest(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(30.0))
    row, codes = _read(path)
    monkeypatch.setattr(code_spool, "MAX_MEMORY_BYTES", 0)
    spooled_row, spooled = _read(path)
    assert spooled_row == row
    np.testing.assert_array_equal(np.asarray(spooled), codes)


PEAK = """
import sys
from pathlib import Path
from pipeline.ingestion import recording
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings
from pipeline.ingestion.resources import peak_bytes
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer
path = Path(sys.argv[1])
row = ClipRow(0, "x", path.name, "x", "", bound_frames=2_700_000)
((row, codes),) = recording.read(DecodeSettings(path.parent, MelSpec(), Quantizer(), Limits()), [row])
print(row.state, row.frames, peak_bytes())
"""


def _repeat(path, minutes, codec):
    """Write a minute of music `minutes` times, and return the path."""
    minute = synthetic_audio.write(path.with_name("minute.wav"), synthetic_audio.chords(60.0))
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-stream_loop", str(minutes - 1), "-i", minute]
    subprocess.run([*command, "-c:a", codec, path], check=True)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "m4a"])
def test_memory_does_not_grow_with_the_length(tmp_path, suffix):
    codec = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libvorbis", "m4a": "aac"}[suffix]
    peaks = []
    for minutes in (2, 120):
        path = _repeat(tmp_path / f"{minutes}.{suffix}", minutes, codec)
        done = subprocess.run([sys.executable, "-c", PEAK, path], cwd=ROOT, capture_output=True, text=True, check=True)
        state, frames, peak = done.stdout.split()
        assert (state, int(frames)) == ("written", pytest.approx(minutes * 1_875, abs=8))
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 60_000_000


def test_a_clip_behind_the_end_of_its_recording_is_rejected_with_both_times(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(3.0))
    row, codes = _read(path, _settings(tmp_path, cut_slack_seconds=0.5), cut_start_seconds=8.0, cut_seconds=2.0)
    assert (row.state, row.reason, codes) == ("refused", "too_short", None)
    assert row.detail == "the clip begins at 8.00 s, and the recording ends at 3.00 s"
