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


LYRICS = b"LYRICSBEGIN" + b"IND00002100"
LYRICS += b"%06dLYRICS200" % len(LYRICS)


@pytest.mark.parametrize(
    "tail",
    [b"", ID3V1, _ape(has_header=True), _ape(has_header=False), LYRICS + ID3V1, _ape(has_header=True) + LYRICS + ID3V1],
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
