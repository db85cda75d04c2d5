"""Tests of the lines about warnings and rejections."""

from __future__ import annotations

from pipeline.ingestion.summary import rejection_lines, warning_lines
from stores.manifest import ClipRow


def _row(name, state="written", **fields):
    return ClipRow(0, name, name, name, "", state=state, **fields)


def test_each_warning_has_a_line_with_its_name_and_its_text():
    rows = [
        _row("sound"),
        _row("one", warnings="damaged", detail="first; second\nthird"),
        _row("two", warnings="short|clipped", detail="1 of 2 s; 5 % are clipped"),
        _row("joined", warnings="short|damaged", detail="a; b; c"),
        _row("rejected", "refused", reason="silent", detail="no sample"),
    ]
    assert warning_lines(rows) == [
        "warning 'one': damaged: first; second third",
        "warning 'two': short: 1 of 2 s",
        "warning 'two': clipped: 5 % are clipped",
        "warning 'joined': short: a; b; c",
        "warning 'joined': damaged: a; b; c",
    ]


def test_warnings_of_earlier_versions_have_no_name():
    assert warning_lines([_row("old", detail="text")]) == ["warning 'old': unnamed: text"]


def test_a_rejection_has_a_line_with_its_reason():
    row = _row("x\n", "refused", reason="unreadable", detail="first\nlast")
    assert rejection_lines([row]) == ["rejected 'x\\n': unreadable: last"]
