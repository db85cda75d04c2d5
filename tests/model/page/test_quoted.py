"""Quoted scores: those in the package are complete, and those of a user are checked line by line."""

from __future__ import annotations

import pytest
from synthetic_report import HOSTILE

from model.page import quoted
from stores.errors import InvalidInput, MissingArtifact

HEAD = "row,column,value,source\n"


def test_quotes_in_the_package_are_shares_with_a_source():
    quotes = quoted.packaged()
    assert quotes
    for quote in quotes:
        assert 0 <= quote.value <= 1
        assert len(quote.source) > 20
        assert quote.column == quoted.AVERAGE or quote.column.count("/") == 2


def test_a_line_is_a_quote():
    line = f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",gtzan/genre/accuracy, 0.5 ,"A, B (2021)"\n'
    (quote,) = quoted.parse(HEAD + line, "x.csv")
    assert quote == quoted.Quote(HOSTILE, "gtzan/genre/accuracy", 0.5, "A, B (2021)")


@pytest.mark.parametrize(
    ("text", "message"),
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
        (HEAD + f"{'a' * 301},b/c/d,0.5,s\n", "must have 1 to 300 printable characters"),
        (HEAD + "a\x00b,b/c/d,0.5,s\n", "must have 1 to 300 printable characters|NUL"),
        (HEAD + "a,b/c/d,0.5,s\na,b/c/d,0.6,s\n", "a has two values of b/c/d; keep one of them"),
        (HEAD + '"a,b/c/d,0.5,s\n', "after line 1: unexpected end of data; put fields with commas or quotes"),
    ],
)
def test_an_invalid_line_is_rejected_with_its_number(text, message):
    with pytest.raises(InvalidInput, match=message):
        quoted.parse(text, "x.csv")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "q.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + "a,b/c/d,0.5,s\n").encode())
    assert quoted.read(tmp_path / "q.csv")[0].row == "a"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 1_000_001])
def test_a_file_that_is_not_text_or_far_too_long_is_rejected(tmp_path, content):
    (tmp_path / "q.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match="is not a CSV file of quoted scores"):
        quoted.read(tmp_path / "q.csv")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(MissingArtifact, match="no quoted scores at"):
        quoted.read(tmp_path / "q.csv")
