"""Tests of AudioSet's CSVs, which come from the network and are checked row by row."""

from __future__ import annotations

from pathlib import Path

import pytest
from audioset_on_disk import CLASSES, GUITAR, MUSIC, SEGMENTS, SPEECH, segments_text

from pipeline.datasets.audioset import segments
from pipeline.datasets.audioset.segments import Segment
from stores.errors import InvalidInput

NAMES = {entry["id"]: entry["name"] for entry in CLASSES}


def _write(folder, name, text):
    path = folder / f"{name}_segments.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _rows(folder, *lines):
    return _write(folder, "balanced_train", segments_text([]) + "".join(f"{line}\n" for line in lines))


def test_the_official_format_is_read(tmp_path):
    listed = segments.read([_write(tmp_path, name, segments_text(rows)) for name, rows in SEGMENTS.items()], NAMES)
    assert len(listed.selected) == 10
    assert (listed.excluded_ids, listed.repeated_rows) == (set(), 0)
    assert listed.selected["--PJHxphWEs"] == Segment(30.0, 40.0, "train", "Speech|Gush")
    assert listed.selected["_______0123"] == Segment(0.0, 5.12, "train", "Music|Rock, and roll")
    assert listed.selected["eval_clip-1"] == Segment(30.0, 40.0, "test", "Speech|Guitar")


def test_only_ids_are_kept_outside_the_subset(tmp_path):
    listed = segments.read([_write(tmp_path, "eval", segments_text(SEGMENTS["eval"]))], NAMES, {MUSIC, GUITAR})
    assert set(listed.selected) == {"0123456789_", "eval_clip-1"}
    assert listed.excluded_ids == {"eval_clip-2"}


@pytest.mark.parametrize("reverse", [False, True])
def test_evaluation_clips_are_never_used_for_training(tmp_path, reverse):
    row = ("abcdefghijk", 30.0, 40.0)
    paths = [
        _write(tmp_path, "balanced_train", segments_text([(*row, (MUSIC,))])),
        _write(tmp_path, "eval", segments_text([(*row, (SPEECH,))])),
    ]
    paths = paths[::-1] if reverse else paths
    listed = segments.read(paths, NAMES)
    assert listed.selected == {"abcdefghijk": Segment(30.0, 40.0, "test", "Speech")}
    assert listed.repeated_rows == 1
    assert segments.read(paths, NAMES, {MUSIC}).selected == {}


@pytest.mark.parametrize(
    "line",
    [
        'abcdefghijk, 30.000, 40.000, "/m/04rlf,/m/0342h"',
        'abcdefghijk,30,40,"/m/04rlf, /m/0342h"',
        'abcdefghijk, 30.000, 40.000, "/m/04rlf,/m/0342h"\r',
        '# a fourth comment\n\nabcdefghijk, 30.000, 40.000, "/m/04rlf,/m/0342h"',
    ],
)
def test_spaces_line_ends_and_further_comments_are_accepted(tmp_path, line):
    assert segments.read([_rows(tmp_path, line)], NAMES).selected == {
        "abcdefghijk": Segment(30.0, 40.0, "train", "Music|Guitar")
    }


def test_unquoted_single_labels_and_a_byte_order_mark_are_accepted(tmp_path):
    path = _write(tmp_path, "eval", b"\xef\xbb\xbf# x\nabcdefghijk,30.0,40.0,/m/04rlf\n")
    assert segments.read([path], NAMES).selected["abcdefghijk"].tags == "Music"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("<html>", "is not a segment; expected YouTube id"),
        ('short, 30.000, 40.000, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, 30.000, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, thirty, 40.000, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, 30.000, 1e9, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, -1, nan, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, 30.000, 40.000, "/m/04rlf', "is not a segment"),
        ('abcdefghijk, 30.000, 40.000, ""', "is not a segment"),
        ('../../../etc, 30.000, 40.000, "/m/04rlf"', "is not a segment"),
        ('abcdefghijk, 40.000, 30.000, "/m/04rlf"', "ends at 30.000 s and starts at 40.000 s"),
        ('abcdefghijk, 30.000, 40.000, "/m/04rlf,/m/none"', "label '/m/none' is not in the ontology"),
        ("abcdefghijk\x00\x00, \x07", "is not a segment"),
    ],
)
def test_the_error_for_an_invalid_row_names_file_and_line(tmp_path, line, problem):
    path = _rows(tmp_path, 'zyxwvutsrqp, 0.000, 10.000, "/m/04rlf"', line)
    with pytest.raises(InvalidInput, match=rf"balanced_train_segments.csv, line 5: .*{problem}"):
        segments.read([path], NAMES)


def test_bytes_that_are_not_utf8_make_a_row_invalid(tmp_path):
    path = _write(tmp_path, "eval", b'# x\nabcdefghij\xff, 30.000, 40.000, "/m/04rlf"\n')
    with pytest.raises(InvalidInput, match=r"line 2: .*is not a segment"):
        segments.read([path], NAMES)


def test_files_without_rows_are_an_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"no segments in .*_segments.csv; expected rows such as --PJHxphWEs"):
        segments.read([_rows(tmp_path)], NAMES)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("eval_segments.csv", "test"),
        ("my_Evaluation.csv", "test"),
        ("unbalanced_train_segments.csv", "train"),
        ("medieval_music.csv", "train"),
    ],
)
def test_the_file_name_determines_the_split(name, split):
    assert segments.split_of(Path("eval") / name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[("eval_segments.csv", "test"), ("AudioSetEval.csv", "test"), ("my-Evaluation.csv", "test")],
        *[("audioset_test.csv", "test"), ("TEST.csv", "test"), ("musicTest.csv", "test"), ("testing_set.csv", "test")],
        *[("medieval.csv", "train"), ("latest_segments.csv", "train"), ("testimony.csv", "train"), ("x.csv", "train")],
    ],
)
def test_the_name_of_a_file_states_the_split(tmp_path, name, split):
    assert segments.split_of(tmp_path / name) == split
