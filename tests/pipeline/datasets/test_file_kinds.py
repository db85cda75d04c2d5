"""Kinds of files and folders by their names."""

from __future__ import annotations

import pytest

from pipeline.datasets import file_kinds
from pipeline.datasets.file_kinds import PassedOver


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.WAV", ".wav"),
        ("a/b.c/d.Flac", ".flac"),
        ("x.tar.gz", ".gz"),
        ("x.mp3.part", ".part"),
        ("clip.3gp", ".3gp"),
        (".38 Special", ""),
        ("...And Justice for All", ""),
        ("01. Song", ""),
        ("Mr. Brightside (feat. X)", ""),
        ("jazz.00054", ""),
        (".mp3", ""),
        ("noext", ""),
        ("dot.", ""),
        ("", ""),
    ],
)
def test_a_suffix_is_short_and_has_a_letter(name, suffix):
    assert file_kinds.suffix_of(name) == suffix
    assert file_kinds.without_suffix(name) == name[: len(name) - len(suffix)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"x{suffix}", "audio") for suffix in (".m4b", ".mkv", ".mov", ".3gp", ".aifc", ".wave", ".mpga", ".snd")),
        *(
            (f"x{suffix}", "audio")
            for suffix in (".flv", ".eac3", ".ec3", ".3ga", ".mp+", ".bw64", ".m4r", ".MP3", ".opus")
        ),
        *((f"x{suffix}", "container") for suffix in (".tar", ".TAR.GZ", ".tgz", ".zip", ".parquet")),
        *((name, "unknown") for name in ("x", "x.ts", ".38 Special", "jazz.00054")),
        ("._x.wav", "AppleDouble"),
        *((name, "other") for name in ("x.txt", "x.7z", "x.tar.xz", "x.h5", "x.mid")),
    ],
)
def test_kinds_of_files(name, kind):
    assert file_kinds.kind(name) == kind


@pytest.mark.parametrize(
    "name", [".git", ".Trash", ".Trash-1000", ".cache", ".mypy_cache", "@eaDir", "__MACOSX", "#recycle"]
)
def test_folders_of_systems_and_programs_are_left_out(name):
    assert file_kinds.is_system_folder(name)


@pytest.mark.parametrize(
    "name", ["...And Justice for All", ".38 Special", ".5 The Gray Chapter", ".hidden", "Trash", "cache"]
)
def test_other_folders_are_searched(name):
    assert not file_kinds.is_system_folder(name)


def test_the_most_frequent_suffixes_are_named_and_all_are_counted():
    passed_over = PassedOver()
    for number in range(20):
        for _ in range(number + 1):
            passed_over.add_file(f"x.s{number:02d}")
    passed_over.folders.update({f".cache{number}": 1 for number in range(15)})
    text = str(passed_over)
    assert text.startswith("20 .s19, 19 .s18, ")
    assert "36 with 8 other suffixes" in text
    assert text.endswith(".cache11, ...)")
    assert sum(passed_over.counts().values()) == sum(range(21)) + 15
    assert str(PassedOver()) == ""
