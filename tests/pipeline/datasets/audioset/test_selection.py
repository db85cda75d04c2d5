"""Which of several copies is read, and what is counted."""

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


def _chosen(*found, segments=SEGMENTS):
    made = select_copies(found, segments)
    return [item.path for item in made.copies], {what: n for what, n in made.counts.items() if n}


def test_the_largest_copy_is_read():
    found = [_copy(A, "small", 1), _copy(A, "large", 3), _copy(A, "middle", 2), _copy(B, "b")]
    assert _chosen(*found) == (["large", "b"], {selection.DUPLICATE: 2})


def test_of_equal_copies_the_first_is_read():
    assert _chosen(_copy(A, "a/x"), _copy(B, "b"), _copy(A, "b/x")) == (["a/x", "b"], {selection.DUPLICATE: 1})


def test_the_order_is_that_in_which_the_chosen_were_found():
    assert _chosen(_copy(A, "a", 1), _copy(B, "b", 1), _copy(A, "c", 2))[0] == ["b", "c"]


def test_of_members_with_one_name_the_last_is_read_though_it_be_smaller():
    made = select_copies([_copy(A, "x.tar", size, member="a.flac") for size in (5, 2)], SEGMENTS)
    assert [item.stated_bytes for item in made.copies] == [2]


def test_sizes_are_asked_only_of_clips_with_several_copies(monkeypatch):
    asked = []
    monkeypatch.setattr(ClipCopy, "size_bytes", lambda self: asked.append(self.path) or 0)
    select_copies([_copy(A, "a"), _copy(B, "b"), _copy(B, "bb")], SEGMENTS)
    assert sorted(asked) == ["b", "bb"]


def test_everything_that_is_not_read_is_counted_by_its_reason():
    found = [
        _copy(A, "start right", start="30.0"),
        _copy(A, "start wrong", start="60"),
        _copy(C, "speech"),
        _copy("ddddddddddd", "unlisted"),
        SkippedFile("hello.wav", UNNAMED),
    ]
    assert _chosen(*found) == (
        ["start right"],
        {selection.MISSING: 1, selection.EXTRA: 1, selection.LEFT_OUT: 1, selection.OTHER_SEGMENT: 1, UNNAMED: 1},
    )


def test_the_main_counts_are_told_even_where_they_are_zero():
    assert {what: n for what, n in select_copies([], SEGMENTS).counts.items() if n == 0}.keys() == set(
        selection.ALWAYS_REPORTED
    ) - {selection.MISSING}


def test_damaged_containers_are_kept_by_name():
    damage = SkippedFile("x.tar", DAMAGED, "unexpected end of data")
    made = select_copies([damage], SEGMENTS)
    assert (made.damaged, made.counts[DAMAGED]) == ([damage], 1)


def test_rows_that_were_listed_before_are_told():
    _, counts = _chosen(segments=Segments(SEGMENTS.wanted, set(), 3))
    assert counts == {selection.MISSING: 2, selection.REPEATED: 3}
