"""Tags behind the audio."""

from __future__ import annotations

import io
import struct

import pytest

from pipeline.audio.lengths import tags

AUDIO = bytes(range(256)) * 8
ID3V1 = b"TAG" + bytes(125)
ITEM = struct.pack("<II", 4, 0) + b"Title\0abcd"


def _ape(*, has_header):
    flags = 0x80000000 * has_header
    edge = b"APETAGEX" + struct.pack("<4I", 2_000, len(ITEM) + 32, 1, flags) + bytes(8)
    return edge * has_header + ITEM + edge


def _id3v2(content_bytes, *, has_footer=False):
    edge = b"\x04\0" + bytes([0x10 * has_footer, 0, 0, content_bytes >> 7, content_bytes & 0x7F])
    return b"ID3" + edge + bytes(content_bytes) + (b"3DI" + edge) * has_footer


LYRICS = b"LYRICSBEGIN" + b"IND00002100"
LYRICS += b"%06dLYRICS200" % len(LYRICS)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        ID3V1,
        _ape(has_header=True),
        _ape(has_header=False),
        LYRICS + ID3V1,
        _ape(has_header=True) + LYRICS + ID3V1,
        _id3v2(500),
        _id3v2(500, has_footer=True),
        _id3v2(500) + _ape(has_header=True) + ID3V1,
    ],
)
def test_tags_at_the_end_are_no_audio(tail):
    content = AUDIO + tail
    assert tags.end_of_audio(io.BytesIO(content), 0, len(content)) == len(AUDIO)


@pytest.mark.parametrize("size", [0, 31, 10_000, 0xFFFFFFFF])
def test_a_tag_that_states_a_false_size_ends_inside_the_file(size):
    content = AUDIO + b"APETAGEX" + struct.pack("<4I", 2_000, size, 1, 0) + bytes(8)
    assert 0 < tags.end_of_audio(io.BytesIO(content), 0, len(content)) <= len(content)


@pytest.mark.parametrize("content", [b"", b"TAG", ID3V1, 20 * ID3V1])
def test_a_file_of_tags_only_ends_not_before_its_start(content):
    assert 0 <= tags.end_of_audio(io.BytesIO(content), 0, len(content)) <= len(content)


def test_a_long_tag_is_found_where_the_audio_is_known_to_end():
    size = tags.ID3V2_SEARCH_BYTES + 1_000
    tag = b"ID3\x04\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + b"\1" * size
    content = AUDIO + tag
    assert tags.end_of_audio(io.BytesIO(content), len(AUDIO), len(content)) == len(AUDIO)
    assert tags.end_of_audio(io.BytesIO(content), 0, len(content)) == len(content)


@pytest.mark.parametrize("tail", [b"ID3", b"ID3\x04\0\0\0\0\0\x7f", b"ID3\xff\0\0\0\0\0\0"])
def test_what_only_looks_like_the_start_of_a_tag_is_audio(tail):
    content = AUDIO + tail
    assert tags.end_of_audio(io.BytesIO(content), 0, len(content)) == len(content)
