"""The pages of Ogg files: chained streams, cuts, gaps and positions."""

from __future__ import annotations

import irregular_audio as irregular
import pytest
import synthetic_audio

from pipeline.audio.lengths.by_format import read_statement
from stores.errors import DecodeError


def _statement(path):
    return read_statement(path, lambda: None)


@pytest.fixture(params=["sndfile", "vorbis", "opus", "flac"])
def sound(request, tmp_path):
    if request.param == "sndfile":
        return synthetic_audio.write(tmp_path / "x.ogg", irregular.music(), 44_100)
    codec = {"vorbis": "libvorbis", "opus": "libopus", "flac": "flac"}[request.param]
    return irregular.encode(tmp_path / "x.oga", "-c:a", codec, seconds=4.0)


def test_a_sound_file_is_one_stream_without_findings(sound):
    statement = _statement(sound)
    assert statement.links == ((0, sound.stat().st_size),)
    assert (statement.breaks_off, statement.damage) == ("", "")
    assert statement.granules[0][1] > 80_000


def test_chained_streams_are_found(sound):
    size = sound.stat().st_size
    statement = _statement(irregular.change(sound, 3 * sound.read_bytes()))
    assert statement.links == ((0, size), (size, 2 * size), (2 * size, 3 * size))
    assert len(statement.granules) == 3
    assert statement.breaks_off == ""


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_cut_is_seen(sound, share):
    assert _statement(irregular.cut(sound, share)).breaks_off.endswith("its last page")


def test_a_cut_between_pages_is_seen(sound):
    content = sound.read_bytes()
    statement = _statement(irregular.change(sound, content[: content.rfind(b"OggS")]))
    assert statement.breaks_off == "before the last page of its stream"


@pytest.mark.parametrize("rest", [1, 10, 26, 27])
def test_a_cut_inside_the_header_of_a_page_is_seen(sound, rest):
    content = sound.read_bytes()
    statement = _statement(irregular.change(sound, content[: content.rfind(b"OggS") + rest]))
    assert statement.breaks_off


def _pages(content):
    starts = [place for place in range(len(content)) if content.startswith(b"OggS", place)]
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]


CHANGES = {
    "missing": lambda pages: pages[:-3] + pages[-2:],
    "repeated": lambda pages: pages[:-2] + pages[-3:],
    "moved": lambda pages: [*pages[:-3], pages[-2], pages[-3], pages[-1]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_pages_that_are_missing_repeated_or_moved_are_counted(tmp_path, change):
    sound = irregular.encode(tmp_path / "x.oga", "-c:a", "libopus", "-page_duration", "100000")
    pages = CHANGES[change](_pages(sound.read_bytes()))
    assert "places" in _statement(irregular.change(sound, b"".join(pages))).damage


def test_a_stream_that_was_cut_from_another_has_no_missing_pages(tmp_path):
    sound = irregular.encode(tmp_path / "x.oga", "-c:a", "libopus", "-page_duration", "100000")
    pages = _pages(sound.read_bytes())
    assert _statement(irregular.change(sound, b"".join(pages[:2] + pages[5:]))).damage == ""


def test_bytes_between_pages_are_counted(sound):
    content = sound.read_bytes()
    page = content.rfind(b"OggS")
    statement = _statement(irregular.change(sound, content[:page] + bytes(5_000_000) + content[page:]))
    assert (statement.damage, statement.breaks_off) == ("5000000 bytes belong to no page", "")


def test_a_tag_at_the_end_is_no_damage_and_no_part_of_the_stream(sound):
    size = sound.stat().st_size
    statement = _statement(irregular.change(sound, sound.read_bytes() + b"TAG" + bytes(125)))
    assert (statement.damage, statement.breaks_off, statement.links) == ("", "", ((0, size),))


def test_magic_without_pages_states_nothing(tmp_path):
    statement = _statement(irregular.change(tmp_path / "x.ogg", b"OggS" * 1_000))
    assert statement.seconds == 0


def test_the_deadline_is_checked_in_a_gap_of_any_length(sound):
    with sound.open("r+b") as file:
        file.truncate(1 << 40)
    checks = iter(range(50))

    def check():
        if next(checks, None) is None:
            raise DecodeError("timeout", "over")

    with pytest.raises(DecodeError, match="timeout"):
        read_statement(sound, check)
