"""Tests of listings and tracks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from stores.errors import InvalidInput


def test_clips_of_each_split_are_compared_with_the_published_numbers():
    tracks = [Track(str(i), Path("x"), "g", split) for i, split in enumerate(["train", "train", "test"])]
    listing = Listing(tracks, {"train": 4, "valid": 2, "test": 1}, {"missing": 4})
    assert [line.strip() for line in listing.lines()] == [
        "train: 2 of 4 clips",
        "valid: 0 of 2 clips",
        "test: 1 of 1 clips",
        "missing: 4",
    ]


def test_without_published_numbers_nothing_is_compared():
    assert Listing([Track("a", Path("x"), "g")]).lines() == []


@pytest.mark.parametrize("cut", [{"cut_start_seconds": -1.0}, {"cut_seconds": float("nan")}, {"cut_seconds": -0.5}])
def test_an_impossible_cut_is_an_error(cut):
    with pytest.raises(InvalidInput, match="must be finite"):
        Track("a", Path("x"), "g", **cut)
