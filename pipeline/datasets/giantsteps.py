"""GiantSteps: keys of electronic dance music, from Beatport's previews of two minutes, cut into clips of 30 s.

Train and valid are the MTG key dataset (Faraldo 2017), and test is the key dataset of Knees et al. (2015). JukeMIR kept
recordings with one key of high confidence (`C` = 2), spelled the keys with flats, separated the artists of train and
valid, and dropped the rest after the last whole 30 s. The result is 3,687, 942 and 2,406 clips of 923, 236 and 604
recordings. The prediction for a recording is aggregated over its clips, so the recording is the group. No recording is
in two splits, and no artist is in both train and valid. The metadata does not name the artists of the test recordings.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath
from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

# `10089.LOFI.mp3` of the two repositories, `10089.mp3`, and `10089 Artist - Title (Original Mix).mp3` of Zenodo
_STEM = re.compile(r"0*([1-9][0-9]{3,9})(\.lofi| .*)?", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,10}")
_GIANTSTEPS = BenchmarkSet(
    title="GiantSteps",
    file_names="BEATPORT_ID.LOFI.mp3, or BEATPORT_ID with any audio suffix, e.g. audio/10089.LOFI.mp3",
    advice=(
        "Run `audio_dl.sh` in clones of github.com/GiantSteps/giantsteps-key-dataset and "
        "github.com/GiantSteps/giantsteps-mtg-key-dataset, and keep both below one folder. Beatport's addresses no "
        "longer work. Mirrors are https://www.cp.jku.at/datasets/giantsteps/backup/ and, for the second dataset, "
        "https://www.cp.jku.at/datasets/giantsteps/mtg_key_backup/."
    ),
    suffixes=(".mp3",),
)


def tracks(root: AudioPath, splits: Path | None = None) -> Listing:
    """Return the clips of the recordings below `root`, with ids such as `0010089-0` and the label `key`.

    A label is a key such as `Eb minor`. The clips of a recording are adjacent and in order, so that the recording is
    decoded once.

    Args:
        root: folder of the audio of both datasets, or of one of them.
        splits: folder that holds `giantsteps_clips.json.gz` (default: the file is downloaded once).

    Raises:
        MissingArtifact: if the audio or the split is missing. The message says what was expected and where to get it.
        InvalidInput: if the file in `splits` is not the published one.
        CorruptArtifact: if the split does not have the content that this dataset needs.
    """
    files = _GIANTSTEPS.files(root)
    clips = [_clip(entry) for entry in jukemir.entries("giantsteps_clips", splits)]
    return _GIANTSTEPS.listing(files, clips, _recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    recording = entry.text("clip", "audio_uid")
    start, length = entry.number("clip", "clip_offset"), entry.number("clip", "clip_duration")
    if not _DIGITS.fullmatch(recording) or start < 0 or length <= 0:
        entry.raise_corrupt(
            f"the recording {recording!r} must consist of digits, the start {start} s must not be negative, and the "
            f"length {length} s must be positive"
        )
    return BenchmarkClip(
        id=entry.uid,
        recording=_pad(recording),
        group=recording,
        split=entry.split,
        labels={"key": entry.text("y")},
        cut_start_seconds=start,
        cut_seconds=length,
    )


def _recording_of(name: str) -> str:
    match = _STEM.fullmatch(PurePosixPath(name).stem)
    return _pad(match[1]) if match else ""


def _pad(digits: str) -> str:
    """Return the number with ten digits, because file names and metadata differ in their leading zeros.

    Sorting this text gives the order of the integers.
    """
    return digits.lstrip("0").zfill(10)
