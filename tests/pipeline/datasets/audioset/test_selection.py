"""Tests of the choice among several copies of a clip, and of the counts."""

from __future__ import annotations

from pipeline.datasets.audioset import selection
from pipeline.datasets.audioset.copies import DAMAGED, UNNAMED, ClipCopy, SkippedFile
from pipeline.datasets.audioset.names import ClipName
from pipeline.datasets.audioset.segments import Segment, Segments
from pipeline.datasets.audioset.selection import select_copies

A, B, C = "aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"
SEGMENTS = Segments({i: Segment(30.0, 40.0, "train", "Music") for i in (A, B)}, {C}, 0)


def _copy(youtube_id, path, size=1, start="", member=""):
    return ClipCopy(ClipName(youtube_id, start), path, member, size)


def _select(*items, segments=SEGMENTS):
    selected = select_copies(items, segments)
    counts = {description: count for description, count in selected.counts.items() if count}
    return [copy.path for copy in selected.copies], counts


def test_the_largest_copy_is_read():
    items = [_copy(A, "small", 1), _copy(A, "large", 3), _copy(A, "middle", 2), _copy(B, "b")]
    assert _select(*items) == (["large", "b"], {selection.DUPLICATE: 2})


def test_the_first_of_equally_large_copies_is_read():
    assert _select(_copy(A, "a/x"), _copy(B, "b"), _copy(A, "b/x")) == (["a/x", "b"], {selection.DUPLICATE: 1})


def test_selected_copies_keep_their_order():
    assert _select(_copy(A, "a", 1), _copy(B, "b", 1), _copy(A, "c", 2))[0] == ["b", "c"]


def test_the_last_of_several_members_with_one_name_is_read_even_if_smaller():
    selected = select_copies([_copy(A, "x.tar", size, member="a.flac") for size in (5, 2)], SEGMENTS)
    assert [copy.known_bytes for copy in selected.copies] == [2]


def test_sizes_are_read_only_for_clips_with_several_copies(monkeypatch):
    paths = []
    monkeypatch.setattr(ClipCopy, "size_bytes", lambda self: paths.append(self.path) or 0)
    select_copies([_copy(A, "a"), _copy(B, "b"), _copy(B, "bb")], SEGMENTS)
    assert sorted(paths) == ["b", "bb"]


def test_everything_that_is_not_read_is_counted_by_reason():
    items = [
        _copy(A, "start right", start="30.0"),
        _copy(A, "start wrong", start="60"),
        _copy(C, "speech"),
        _copy("ddddddddddd", "unlisted"),
        SkippedFile("hello.wav", UNNAMED),
    ]
    assert _select(*items) == (
        ["start right"],
        {selection.MISSING: 1, selection.EXTRA: 1, selection.EXCLUDED: 1, selection.OTHER_SEGMENT: 1, UNNAMED: 1},
    )


def test_the_main_counts_are_reported_even_if_zero():
    counts = select_copies([], SEGMENTS).counts
    zeros = {description for description, count in counts.items() if count == 0}
    assert zeros == set(selection.ALWAYS_REPORTED) - {selection.MISSING}


def test_damaged_containers_are_listed():
    damage = SkippedFile("x.tar", DAMAGED, "unexpected end of data")
    selected = select_copies([damage], SEGMENTS)
    assert (selected.damaged, selected.counts[DAMAGED]) == ([damage], 1)


def test_repeated_rows_are_reported():
    _, counts = _select(segments=Segments(SEGMENTS.selected, set(), 3))
    assert counts == {selection.MISSING: 2, selection.REPEATED: 3}
