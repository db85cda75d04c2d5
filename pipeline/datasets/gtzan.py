"""GTZAN: 1,000 clips of 30 s in ten genres (Tzanetakis and Cook 2002), in all usual folder layouts.

The layouts are `genres/GENRE/GENRE.NNNNN.wav` and `.au`, `genres_original/...`, and all files in one folder. The split
is the fault-filtered split that JukeMIR uses (Kereliuk, Sturm and Larsen 2015), with 443, 197 and 290 clips. It leaves
out repetitions and damaged clips, and no artist is in two splits. The metadata does not state which clips share an
artist, so each clip is its own group.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath
from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

_ID = re.compile(rf"({'|'.join(GENRES)})\.[0-9]{{5}}")
_GTZAN = BenchmarkSet(
    title="GTZAN",
    file_names="GENRE.NNNNN.wav or .au, e.g. genres/jazz/jazz.00054.wav",
    advice=(
        "The original sites (marsyas.info, opihi.cs.uvic.ca) are gone. Copies of `genres.tar.gz` are on the Hugging "
        "Face hub (marsyas/gtzan) and on Kaggle (carlthome/gtzan-genre-collection, "
        "andradaolteanu/gtzan-dataset-music-genre-classification)."
    ),
    suffixes=(".au", ".wav"),  # .au is the original; the damaged jazz.00054 is a .wav of the mirrors
    damaged_ids=frozenset({"jazz.00054"}),
)


def tracks(root: AudioPath, splits: Path | None = None) -> Listing:
    """Return the clips of the fault-filtered split below `root`, with ids such as `jazz.00054` and the label `genre`.

    Args:
        root: folder of the audio, in any layout.
        splits: folder that holds `gtzan_ff.json.gz` (default: the file is downloaded once).

    Raises:
        MissingArtifact: if the audio or the split is missing. The message says what was expected and where to get it.
        InvalidInput: if the file in `splits` is not the published one.
        CorruptArtifact: if the split does not have the content that this dataset needs.
    """
    files = _GTZAN.files(root)
    return _GTZAN.listing(files, [_clip(entry) for entry in jukemir.entries("gtzan_ff", splits)], _recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    name, genre = entry.text("extra", "id"), entry.text("y")
    if not _ID.fullmatch(name) or genre not in GENRES:
        entry.raise_corrupt(f"the id {name!r} must be GENRE.NNNNN, and the genre {genre!r} must be one of {GENRES}")
    return BenchmarkClip(id=name, recording=name, group=name, split=entry.split, labels={"genre": genre})


def _recording_of(name: str) -> str:
    stem = PurePosixPath(name).stem.lower()
    return stem if _ID.fullmatch(stem) else ""
