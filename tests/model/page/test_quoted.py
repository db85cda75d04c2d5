"""Quoted scores: those that come along are whole, those of a user are checked line by line."""

from __future__ import annotations

import pytest
from synthetic_report import EVIL

from model.page import quoted
from stores.errors import InvalidInput, MissingArtifact

HEAD = "row,column,value,source\n"


def test_those_that_come_along_are_shares_with_a_source_each():
    found = quoted.own()
    assert found
    for one in found:
        assert 0 <= one.value <= 1
        assert len(one.source) > 20
        assert one.column == quoted.AVERAGE or one.column.count("/") == 2


def test_a_line_is_a_quote():
    line = f'"{EVIL.replace(chr(34), chr(34) * 2)}",gtzan/genre/accuracy, 0.5 ,"A, B (2021)"\n'
    (found,) = quoted.parsed(HEAD + line, "x.csv")
    assert found == quoted.Quote(EVIL, "gtzan/genre/accuracy", 0.5, "A, B (2021)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("row,value\n", r"x.csv: the first line is \['row', 'value'\]; it must be row,column,value,source"),
        ("", "x.csv: the first line is None"),
        (HEAD + "a,gtzan/genre/accuracy,79.7,s\n", "x.csv, line 2: value '79.7' must be a share such as 0.797"),
        (HEAD + "a,gtzan/genre/accuracy,nan,s\n", "value 'nan' must be a share"),
        (HEAD + "a,gtzan/genre/accuracy,much,s\n", "value 'much' must be a share"),
        (HEAD + "a,gtzan,0.5,s\n", "column 'gtzan' must be DATASET/TASK/METRIC"),
        (HEAD + "a,b/c/d,0.5\n", "every line needs row, column, value, source, none of them empty"),
        (HEAD + "a,b/c/d,0.5,s,more\n", "every line needs"),
        (HEAD + "a,b/c/d,0.5,\n", "none of them empty"),
        (HEAD + f"{'a' * 301},b/c/d,0.5,s\n", "must be 1 to 300 printable letters"),
        (HEAD + "a\x00b,b/c/d,0.5,s\n", "must be 1 to 300 printable letters|NUL"),
        (HEAD + "a,b/c/d,0.5,s\na,b/c/d,0.6,s\n", "a has two values of b/c/d; keep one"),
        (HEAD + '"a,b/c/d,0.5,s\n', "after line 1: unexpected end of data; quote fields as CSV does"),
    ],
)
def test_what_is_no_quote_is_refused_with_its_line(text, told):
    with pytest.raises(InvalidInput, match=told):
        quoted.parsed(text, "x.csv")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "q.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + "a,b/c/d,0.5,s\n").encode())
    assert quoted.read(tmp_path / "q.csv")[0].row == "a"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 1_000_001])
def test_a_file_that_is_no_text_or_much_too_long_is_refused(tmp_path, content):
    (tmp_path / "q.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match="is no CSV of quoted scores"):
        quoted.read(tmp_path / "q.csv")


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingArtifact, match="no quoted scores at"):
        quoted.read(tmp_path / "q.csv")
