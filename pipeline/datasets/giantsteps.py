"""GiantSteps: keys of electronic dance music, previews of two minutes from Beatport, cut into clips of 30 s.

Train and valid are the MTG key data set (Faraldo 2017), test is the key data set of Knees et al. (2015). JukeMIR kept
recordings with one key of high confidence (`C` = 2), spelled keys with flats, put artists on one side of train and
valid, and dropped what remains after the last whole 30 s: 3,687, 942 and 2,406 clips of 923, 236 and 604 recordings. A
model's answer for a recording is a vote over its clips, so the recording is the group; none stands in two splits, nor
does an artist in train and valid (of test recordings the metadata names none).
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

# `10089.LOFI.mp3` of the two repositories, `10089.mp3`, and `10089 Artist - Title (Original Mix).mp3` of Zenodo
_STEM = re.compile(r"0*([1-9][0-9]{3,9})(\.lofi| .*)?", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,10}")
_GIANTSTEPS = BenchmarkSet(
    title="GiantSteps",
    looked_for="BEATPORT_ID.LOFI.mp3 or BEATPORT_ID with any audio suffix, e.g. audio/10089.LOFI.mp3",
    advice=(
        "Run `audio_dl.sh` in clones of github.com/GiantSteps/giantsteps-key-dataset and "
        "github.com/GiantSteps/giantsteps-mtg-key-dataset, and keep both below one folder. Beatport's addresses no "
        "longer answer; mirrors are https://www.cp.jku.at/datasets/giantsteps/backup/ and, for the second, "
        "https://www.cp.jku.at/datasets/giantsteps/mtg_key_backup/."
    ),
    suffixes=(".mp3",),
)


def tracks(root: Path, splits: Path | None = None) -> Listing:
    """The clips of recordings below `root`, by id such as `0010089-0`, labelled `key`, e.g. `Eb minor`.

    Clips of one recording stand side by side, in order, so that it is decoded once.

    Args:
        root: folder of the audio of both data sets, or of one.
        splits: folder that holds `giantsteps_clips.json.gz`; by default it is fetched once.

    Raises:
        MissingArtifact: without audio, or without the split: what was looked for, where people get it.
        InvalidInput: the split given is not the published one.
        CorruptArtifact: it holds something else than this dataset needs.
    """
    files = _GIANTSTEPS.files(root)
    clips = [_clip(entry) for entry in jukemir.entries("giantsteps_clips", splits)]
    return _GIANTSTEPS.listing(files, clips, _recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    recording = entry.text("clip", "audio_uid")
    start, length = entry.number("clip", "clip_offset"), entry.number("clip", "clip_duration")
    if not _DIGITS.fullmatch(recording) or start < 0 or length <= 0:
        entry.refuse(f"it is {length} s from {start} s of recording {recording!r}, which must be digits")
    return BenchmarkClip(
        id=entry.uid,
        recording=_padded(recording),
        group=recording,
        split=entry.split,
        labels={"key": entry.text("y")},
        cut_start_seconds=start,
        cut_seconds=length,
    )


def _recording_of(name: str) -> str:
    found = _STEM.fullmatch(PurePosixPath(name).stem)
    return _padded(found[1]) if found else ""


def _padded(digits: str) -> str:
    """So that text compares as the integers do: files and metadata differ in leading zeros."""
    return digits.lstrip("0").zfill(10)
