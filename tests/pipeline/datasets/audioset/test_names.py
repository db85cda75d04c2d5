"""Tests of the file names of AudioSet clips."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.audioset.names import ID, ClipName, may_start_at, parse

ids = st.from_regex(re.compile(ID, re.ASCII), fullmatch=True) | st.from_regex(r"\AY[Y0-9_-]{10}\Z")
seconds = st.integers(0, 99_999)


@given(ids)
def test_an_id_alone_is_a_name_with_any_first_character(youtube_id):
    assert parse(youtube_id) == ClipName(youtube_id)


@given(ids)
def test_a_y_before_eleven_characters_is_a_prefix(youtube_id):
    assert parse(f"Y{youtube_id}") == ClipName(youtube_id)


@given(ids, seconds, st.sampled_from(["{}", "{}.0", "{}.000", "{:06d}"]), st.sampled_from(["", "-{}", "_{}"]))
def test_the_start_is_parsed_with_and_without_end_and_prefix(youtube_id, start, form, end):
    written = form.format(start)
    for prefix in ("", "Y"):
        name = parse(f"{prefix}{youtube_id}_{written}{end.format(form.format(start + 10)) if end else ''}")
        assert name == ClipName(youtube_id, written)
        assert may_start_at(name, start)
        assert not may_start_at(name, start + 1)


@given(ids, seconds)
def test_integers_may_be_milliseconds(youtube_id, start):
    assert may_start_at(parse(f"{youtube_id}_{start * 1000}"), start)


@given(st.text(max_size=20))
def test_any_text_is_not_a_clip_name_or_contains_an_id(stem):
    name = parse(stem)
    assert name is None or (name.youtube_id in stem and re.fullmatch(ID, name.youtube_id))


@pytest.mark.parametrize(
    "stem",
    ["", "abc", "abcdefghij", "abcdefghijklm", "abcdefghijk_", "abcdefghijk_30-", "abcdefghijk 30", "äbcdefghijk"],
)
def test_other_names_are_not_clip_names(stem):
    assert parse(stem) is None


@pytest.mark.parametrize(
    ("written", "start", "expected"),
    [
        ("", 470.0, True),
        ("30", 30.5, True),  # the fraction was cut off
        ("30", 0.0, False),  # not 30 ms
        ("1000", 1.0, True),
        ("1000.0", 1.0, False),  # with a point they are seconds
        ("0", 0.0, True),
        ("40.0", 30.0, False),
    ],
)
def test_a_name_fits_a_segment_if_the_starts_agree(written, start, expected):
    assert may_start_at(ClipName("abcdefghijk", written), start) is expected


@given(ids, st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=30))
def test_the_names_of_yt_dlp_and_youtube_dl_are_parsed(youtube_id, title):
    assert parse(f"{title} [{youtube_id}]") == ClipName(youtube_id)
    assert parse(f"é{title}-{youtube_id}") == ClipName(youtube_id)
