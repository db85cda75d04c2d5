"""The length of FLAC files by STREAMINFO and by their last frame."""

from __future__ import annotations

import irregular_audio as irregular
import numpy as np
import pytest
import soundfile
import synthetic_audio

from pipeline.audio.lengths import flac_frame
from pipeline.audio.lengths.by_format import read_statement

SAMPLES = 88_200


def _statement(path):
    return read_statement(path, lambda: None)


def _frame_starts(content):
    """Return the positions of all frames of a FLAC file whose frames have a fixed length."""
    starts, position = [], content.find(b"\xff\xf8")
    needle = content[position : position + 3]
    while position >= 0:
        starts.append(position)
        position = content.find(needle, position + 1)
    return starts


def _reordered(content, *parts):
    """Return the file with the ranges of frames `parts` instead of all of its frames."""
    starts = [*_frame_starts(content), len(content)]
    return content[: starts[0]] + b"".join(content[starts[first] : starts[last]] for first, last in parts)


@pytest.fixture(params=["sndfile", "ffmpeg", "24-bit", "mono", "silence", "short"])
def sound(request, tmp_path):
    path = tmp_path / "x.flac"
    if request.param == "ffmpeg":
        return irregular.encode(path, "-c:a", "flac")
    samples = {"mono": irregular.music(channels=1), "silence": np.zeros((SAMPLES, 2))}.get(
        request.param, irregular.music()
    )
    if request.param == "short":
        samples = samples[:100]
    soundfile.write(str(path), samples, 44_100, subtype="PCM_24" if request.param == "24-bit" else "PCM_16")
    return path


def test_the_last_frame_states_the_same_length_as_the_header(sound):
    statement, seconds = _statement(sound), soundfile.info(str(sound)).duration
    assert (statement.seconds, statement.is_regular) == (pytest.approx(seconds), True)


def test_a_header_without_a_length_is_regular_and_the_last_frame_states_it(sound):
    seconds = soundfile.info(str(sound)).duration
    statement = _statement(irregular.state_flac_samples(sound, 0))
    assert (statement.seconds, statement.is_regular) == (pytest.approx(seconds), True)


@pytest.mark.parametrize("difference", [-60, -1, 1, 44_100])
def test_a_header_that_lies_is_irregular_and_the_longer_length_counts(sound, difference):
    samples = soundfile.info(str(sound)).frames
    statement = _statement(irregular.state_flac_samples(sound, samples + difference))
    assert not statement.is_regular
    assert statement.seconds == pytest.approx(max(samples, samples + difference) / 44_100)


def test_a_cut_file_is_irregular(tmp_path):
    path = irregular.cut(synthetic_audio.write(tmp_path / "x.flac", irregular.music(), 44_100))
    statement = _statement(path)
    assert (statement.seconds, statement.is_regular) == (pytest.approx(2.0), False)


def test_tags_before_and_in_the_file_are_skipped(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.flac", irregular.music(), 44_100)
    tagged = b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + path.read_bytes()
    assert _statement(irregular.change(path, tagged)).seconds == pytest.approx(2.0)


@pytest.mark.parametrize("content", [b"fLaC", b"fLaC" + bytes(30), b"fLaC\0\0\0\x22" + bytes(34), b"fLaC" * 100])
def test_a_header_without_sense_states_nothing(tmp_path, content):
    assert _statement(irregular.change(tmp_path / "x.flac", content)).seconds == 0


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"\x00", (0, 1)),
        (b"\x7f", (127, 1)),
        (b"\xc2\x80", (128, 2)),
        (b"\xe0\xa0\x80", (2_048, 3)),
        (b"\xfe\x82\x80\x80\x80\x80\x80", (2 << 30, 7)),
        (b"\xc2\x00", None),
        (b"\x80", None),
        (b"\xff", None),
        (b"\xc2", None),
    ],
)
def test_numbers_of_frames_are_read(content, number):
    assert flac_frame.read_number(content) == number


def test_the_checksum_is_that_of_the_format():
    assert flac_frame._crc8(b"123456789") == 0xF4


@pytest.fixture
def music(tmp_path):
    return synthetic_audio.write(tmp_path / "x.flac", irregular.music(), 44_100)


@pytest.mark.parametrize(
    ("parts", "places", "number", "expected"),
    [
        ([(0, 10), (7, 21)], 1, 7, 10),
        ([(0, 7), (10, 21)], 1, 10, 7),
        ([(0, 7), (10, 14), (7, 10), (14, 21)], 3, 10, 7),
        ([(0, 5), (0, 21)], 1, 0, 5),
    ],
)
@pytest.mark.parametrize("block_bytes", [flac_frame.BLOCK_BYTES, 1_000])
def test_frames_that_do_not_follow_one_another_are_damage(
    music, parts, places, number, expected, block_bytes, monkeypatch
):
    monkeypatch.setattr(flac_frame, "BLOCK_BYTES", block_bytes)
    assert not _statement(music).damage
    statement = _statement(irregular.change(music, _reordered(music.read_bytes(), *parts)))
    assert not statement.is_regular
    assert f"at {places} place" in statement.damage
    assert statement.damage.endswith(f"number {number} stands where {expected} should follow")


def test_a_wrong_size_of_the_smallest_frame_is_no_damage(music):
    content = music.read_bytes()
    assert not _statement(irregular.change(music, content[:12] + b"\x00\xff\xff" + content[15:])).damage


def test_a_file_that_was_joined_on_is_no_damage(music):
    assert not _statement(irregular.change(music, 2 * music.read_bytes())).damage


def test_the_jumps_of_a_hostile_file_are_counted_up_to_a_limit(music):
    content = music.read_bytes()
    starts = _frame_starts(content)
    two = content[starts[3] : starts[3] + 16] + content[starts[5] : starts[5] + 16]
    hostile = content[: starts[8]] + 50_000 * two + content[starts[8] :]
    assert "at 100 places or more" in _statement(irregular.change(music, hostile)).damage
