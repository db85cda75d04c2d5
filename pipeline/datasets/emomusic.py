"""EmoMusic: 744 clips of 45 s, with arousal and valence as rated by listeners (Soleymani et al. 2013, MediaEval).

Test is the official evaluation set of 125 clips. Valid consists of 115 of the 619 clips of the development set. Both
ratings are standardized with the mean and the (population) standard deviation of the whole development set, which is
train and valid together.

Each clip is from a different song, so each clip is its own group. Artists are separate between train and valid only: 52
of 411 artists are in test and also in train or valid (289 clips), so a group per artist would cross the official split.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath
from pipeline.datasets import jukemir
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

# The package also contains the full songs under the same numbers. This is part of the name of the folder of the clips.
_CLIPS_FOLDER = "clips_45sec"
_NUMBER = re.compile(r"0*([1-9][0-9]{0,3})")
_EMOMUSIC = BenchmarkSet(
    title="EmoMusic",
    file_names="clips_45seconds/NUMBER.mp3, or NUMBER with any audio suffix, e.g. clips_45seconds/2.mp3",
    advice=(
        "Get the `Emotion in Music Database (1000 songs)` at https://cvml.unige.ch/databases/emoMusic/, which requires "
        "a form to be filled in, and unpack its folder clips_45seconds."
    ),
    suffixes=(".mp3",),
)


def tracks(root: AudioPath, splits: Path | None = None) -> Listing:
    """Return the clips of the split below `root`, with ids such as `0002` and the labels `arousal` and `valence`.

    Both labels are numbers in standard deviations, stored as text from which the exact number can be parsed.

    Args:
        root: folder of the audio. If files below it are in a folder `clips_45seconds`, only these files are used.
        splits: folder that holds `emomusic.json.gz` (default: the file is downloaded once).

    Raises:
        MissingArtifact: if the audio or the split is missing. The message says what was expected and where to get it.
        InvalidInput: if the file in `splits` is not the published one.
        CorruptArtifact: if the split does not have the content that this dataset needs.
    """
    files = _EMOMUSIC.files(root)
    clips = [_clip(entry) for entry in jukemir.entries("emomusic", splits)]
    eligible = _eligible_names(files)
    return _EMOMUSIC.listing(files, clips, lambda name: _recording_of(name) if name in eligible else "")


def _clip(entry: SplitEntry) -> BenchmarkClip:
    number, ratings = _NUMBER.fullmatch(entry.uid), entry.numbers("y")
    if number is None or len(ratings) != 2:
        entry.raise_corrupt(f"y is {ratings}; the uid must be a number, and y must be two ratings")
    arousal, valence = ratings
    return BenchmarkClip(
        id=entry.uid,
        recording=number[1].zfill(4),
        group=entry.uid,
        split=entry.split,
        labels={"arousal": repr(arousal), "valence": repr(valence)},
    )


def _eligible_names(files: AudioFiles) -> frozenset[str]:
    in_clips_folder = frozenset(name for name in files.names if _CLIPS_FOLDER in name.rpartition("/")[0].lower())
    return in_clips_folder or frozenset(files.names)


def _recording_of(name: str) -> str:
    number = _NUMBER.fullmatch(PurePosixPath(name).stem)
    return number[1].zfill(4) if number else ""
