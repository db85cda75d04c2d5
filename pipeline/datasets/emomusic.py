"""EmoMusic: 744 clips of 45 s with arousal and valence as listeners rated them (Soleymani et al. 2013, MediaEval).

Test is the official evaluation set, 125 clips; valid is cut out of the development set, 115 of 619. Both ratings are
standardised with the mean and deviation (population) of the whole development set, train and valid together.

Each clip is a song of its own, so it is its own group. Artists were kept apart between train and valid only: 52 of 411
stand in test and in train or valid too (289 clips), so a group by artist would cross the official split.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.datasets import jukemir
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

# The package also holds the full songs under the same numbers; a folder of this name tells which files are clips.
_CLIPS_FOLDER = "clips_45sec"
_NUMBER = re.compile(r"0*([1-9][0-9]{0,3})")
_EMOMUSIC = BenchmarkSet(
    title="EmoMusic",
    looked_for="clips_45seconds/NUMBER.mp3, or NUMBER with any audio suffix, e.g. clips_45seconds/2.mp3",
    advice=(
        "The set is the `Emotion in Music Database (1000 songs)` at https://cvml.unige.ch/databases/emoMusic/, which "
        "gives access after a form is filled in; unpack its clips_45seconds."
    ),
    suffixes=(".mp3",),
)


def tracks(root: Path, splits: Path | None = None) -> Listing:
    """The clips of the split below `root`, by id such as `0002`, labelled `arousal` and `valence`.

    Both labels are numbers as text that reads back exactly; they have no unit (standard deviations).

    Args:
        root: folder of the audio. Where some of it lies in a folder `clips_45seconds`, only that is looked at.
        splits: folder that holds `emomusic.json.gz`; by default it is fetched once.

    Raises:
        MissingArtifact: without audio, or without the split: what was looked for, where people get it.
        InvalidInput: the split given is not the published one.
        CorruptArtifact: it holds something else than this dataset needs.
    """
    files = _EMOMUSIC.files(root)
    clips = [_clip(entry) for entry in jukemir.entries("emomusic", splits)]
    eligible = _eligible(files)
    return _EMOMUSIC.listing(files, clips, lambda name: _recording_of(name) if name in eligible else "")


def _clip(entry: SplitEntry) -> BenchmarkClip:
    number, rated = _NUMBER.fullmatch(entry.uid), entry.numbers("y")
    if number is None or len(rated) != 2:
        entry.refuse(f"y is {rated}; needed are a number as uid and two ratings")
    arousal, valence = rated
    return BenchmarkClip(
        id=entry.uid,
        recording=number[1].zfill(4),
        group=entry.uid,
        split=entry.split,
        labels={"arousal": repr(arousal), "valence": repr(valence)},
    )


def _eligible(files: AudioFiles) -> frozenset[str]:
    inside = frozenset(name for name in files.names if _CLIPS_FOLDER in name.rpartition("/")[0].lower())
    return inside or frozenset(files.names)


def _recording_of(name: str) -> str:
    number = _NUMBER.fullmatch(PurePosixPath(name).stem)
    return number[1].zfill(4) if number else ""
