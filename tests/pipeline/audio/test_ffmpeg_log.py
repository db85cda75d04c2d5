"""Errors and lengths in the log of ffmpeg."""

from __future__ import annotations

import pytest

from pipeline.audio.ffmpeg_log import FfmpegLog

HEADER = """[info] Input #0, wav, from 'file:x.wav':
[info]   Metadata:
[info]     title           : [error] Duration: 99:00:00.00
[info]   Duration: 01:02:03.50, bitrate: 1411 kb/s
[info]   Stream #0:0: Audio: pcm_f32le, 44100 Hz, 2 channels, flt, 2822 kb/s
"""
VIDEO = "[info]   Stream #0:1[0x1](und): Video: h264 (High), yuv420p, 64x64\n"
COVER = "[info]   Stream #0:1: Video: mjpeg (Baseline), yuvj420p, 64x64 (attached pic)\n"
OUTPUT = "[info]   Stream #0:0: Audio: pcm_f32be, 44100 Hz\n"


def test_the_length_is_that_of_the_input_and_not_that_of_its_metadata():
    assert FfmpegLog(HEADER).stated_seconds() == 3_723.5


@pytest.mark.parametrize("text", ["", "[info]   Duration: N/A, bitrate: N/A\n", "Duration: 00:00:01.00"])
def test_a_length_that_is_not_stated_is_0(text):
    assert FfmpegLog(text).stated_seconds() == 0


def test_an_estimated_length_is_no_statement():
    warning = "[in#0/mp3 @ 0x55] [warning] Estimating duration from bitrate, this may be inaccurate\n"
    assert FfmpegLog(warning + HEADER).stated_seconds() == 0


def test_sound_may_be_shorter_than_a_picture_and_not_than_a_cover():
    assert FfmpegLog(HEADER + VIDEO).tolerance_seconds() > 60
    assert FfmpegLog(HEADER + COVER).tolerance_seconds() < 8


@pytest.mark.parametrize(("codec", "floats"), [("pcm_f32le", True), ("pcm_f64be", True), ("aac (LC)", False)])
def test_the_type_of_the_samples_is_that_of_the_input(codec, floats):
    assert FfmpegLog(HEADER.replace("pcm_f32le", codec) + OUTPUT).stores_floats() == floats


def test_only_errors_are_reported_once_and_without_addresses():
    lines = [
        "[aac @ 0x7f3a] [error] Input buffer exhausted",
        "[aist#0:0/aac @ 0x7f] [dec:aac @ 0x7e] [error] Error submitting packet",
        "[aac @ 0x7f3b] [error] Input buffer exhausted",
        "[aist#0:0/aac @ 0x7f] [warning] Guessed Channel Layout: stereo",
        "[error]     Last message repeated 3 times",
        "[au @ 0x55] [error] Application provided invalid, non monotonically increasing dts to muxer in stream 0",
    ]
    expected = "[aac] Input buffer exhausted\n[aist#0:0/aac] [dec:aac] Error submitting packet"
    assert FfmpegLog(HEADER + "\n".join(lines)).errors() == expected


def test_all_lines_of_another_program_are_errors():
    assert FfmpegLog("killed\nby somebody\n").errors() == "by somebody\nkilled"
