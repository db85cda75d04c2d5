"""The length of MP3 files by their frames: length headers, joins, tags, gaps and cuts."""

from __future__ import annotations

import irregular_audio as irregular
import pytest

from pipeline.audio.lengths import mpeg, mpeg_frame
from pipeline.audio.lengths.by_format import read_statement
from pipeline.audio.lengths.mpeg_frame import Format
from stores.errors import DecodeError


def _statement(path):
    return read_statement(path, lambda: None)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_length_header_gives_the_length_to_the_sample(tmp_path, rate_hz, channels):
    path = irregular.mp3(tmp_path / "x.mp3", "-b:a", "48k", rate_hz=rate_hz, channels=channels)
    statement = _statement(path)
    assert statement.seconds == pytest.approx(2.0, abs=1e-9)
    assert (statement.is_regular, statement.damage, statement.breaks_off) == (True, "", "")


def test_a_file_without_a_length_header_has_the_length_of_its_frames(tmp_path):
    statement = _statement(irregular.plain_mp3(tmp_path / "x.mp3"))
    assert 2.0 <= statement.seconds <= 2.0 + 4 * 1_152 / 44_100
    assert statement.is_regular


def test_a_variable_bit_rate_without_a_length_header_is_irregular(tmp_path):
    assert not _statement(irregular.plain_mp3(tmp_path / "x.mp3", "-q:a", "2")).is_regular


@pytest.mark.parametrize("frames", [1, 50, 200])
def test_a_length_header_that_lies_is_irregular(tmp_path, frames):
    path = irregular.mp3(tmp_path / "x.mp3")
    statement = _statement(irregular.state_mp3_frames(path, frames))
    assert not statement.is_regular
    assert statement.seconds == pytest.approx(max(2.0, frames * 1_152 / 44_100), abs=0.04)


def test_joined_files_are_irregular_and_have_the_length_of_all_frames(tmp_path):
    parts = [irregular.mp3(tmp_path / f"{n}.mp3", rate_hz=rate_hz) for n, rate_hz in enumerate((44_100, 48_000))]
    statement = _statement(irregular.join(tmp_path / "joined.mp3", *parts))
    assert statement.seconds == pytest.approx(4.05, abs=0.05)
    assert not statement.is_regular
    assert statement.damage == ""


@pytest.mark.parametrize(
    "tag",
    [
        b"TAG" + bytes(125),
        b"APETAGEX" + (2_000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(4) + bytes(1_980 + 32),
        b"LYRICSBEGIN" + b"words " * 100 + b"000600LYRICS200",
        b"ID3\x04\0\0\0\0\x10\0" + bytes(2_048),
        bytes(3_000),
    ],
    ids=["ID3v1", "APE", "Lyrics3", "ID3v2", "padding"],
)
def test_a_tag_at_the_end_is_no_damage(tmp_path, tag):
    path = irregular.mp3(tmp_path / "x.mp3")
    statement = _statement(irregular.change(path, path.read_bytes() + tag))
    assert statement.seconds == pytest.approx(2.0)
    assert (statement.is_regular, statement.damage) == (True, "")


def test_a_tag_between_joined_files_is_no_damage(tmp_path):
    part = irregular.mp3(tmp_path / "x.mp3")
    tag = b"TAG" + bytes(125)
    path = irregular.change(tmp_path / "joined.mp3", part.read_bytes() + tag + part.read_bytes())
    assert _statement(path).damage == ""


@pytest.mark.parametrize("size_bytes", [1, 7, 5_000, 3 * mpeg.BLOCK_BYTES])
def test_bytes_between_frames_are_counted(tmp_path, size_bytes):
    path = irregular.plain_mp3(tmp_path / "x.mp3")
    content = path.read_bytes()
    frame = mpeg_frame.find(content[20_000:]) + 20_000
    statement = _statement(irregular.change(path, content[:frame] + bytes(size_bytes) + content[frame:]))
    assert statement.damage == f"{size_bytes} bytes inside the audio are no audio"
    assert statement.seconds == pytest.approx(2.03, abs=0.03)


def test_a_long_end_without_frames_is_damage(tmp_path):
    path = irregular.mp3(tmp_path / "x.mp3")
    statement = _statement(irregular.change(path, path.read_bytes() + bytes(100_000)))
    assert statement.damage == "the last 100000 bytes are no audio"


def test_a_cut_inside_a_frame_is_seen_and_one_between_frames_is_not(tmp_path):
    path = irregular.plain_mp3(tmp_path / "x.mp3")
    content = path.read_bytes()
    frame = mpeg_frame.find(content[20_000:]) + 20_000
    assert _statement(irregular.change(path, content[: frame + 100])).breaks_off == "inside its last frame"
    assert _statement(irregular.change(path, content[:frame])).breaks_off == ""


def test_blocks_of_any_size_give_the_same_length(tmp_path, monkeypatch):
    path = irregular.mp3(tmp_path / "x.mp3")
    whole = _statement(path)
    monkeypatch.setattr(mpeg, "BLOCK_BYTES", 3_000)
    assert _statement(path) == whole


def test_the_deadline_is_checked_in_a_gap_of_any_length(tmp_path):
    path = irregular.mp3(tmp_path / "x.mp3")
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # a hole of a terabyte
    checks = iter(range(50))

    def check():
        if next(checks, None) is None:
            raise DecodeError("timeout", "over")

    with pytest.raises(DecodeError, match="timeout"):
        read_statement(path, check)


@pytest.mark.parametrize(
    ("header", "frame"),
    [
        (b"\xff\xfb\x90\x00", (Format(44_100, 2, 1_152), 417)),
        (b"\xff\xfb\x92\xc0", (Format(44_100, 1, 1_152), 418)),
        (b"\xff\xf3\x48\xc0", (Format(16_000, 1, 576), 144)),
        (b"\xff\xe3\x18\xc4", (Format(8_000, 1, 576), 72)),
        (b"\xff\xfb\x00\x00", None),  # free format
        (b"\xff\xfb\xf0\x00", None),
        (b"\xff\xfb\x9c\x00", None),
        (b"\xff\xeb\x90\x00", None),  # reserved version
        (b"\xff\xfd\x90\x00", None),  # layer II
        (b"\xff\xf1\x50\x80", None),  # AAC
        (b"\xff\xfb\x90", None),
    ],
)
def test_a_frame_header_gives_format_and_length(header, frame):
    assert mpeg_frame.parse(header) == frame
