"""GTZAN: ten genres of a hundred 30-second clips (Tzanetakis and Cook 2002), in the layouts that people have.

`genres/GENRE/GENRE.NNNNN.wav` and `.au`, `genres_original/...`, or all files flat. The split is the fault-filtered one
that JukeMIR uses (Kereliuk, Sturm and Larsen 2015), 443, 197 and 290 clips: it leaves out repetitions and damaged clips
and keeps artists on one side. Which clips share an artist its metadata do not say, so each clip is its own group.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

_ID = re.compile(rf"({'|'.join(GENRES)})\.[0-9]{{5}}")
_GTZAN = BenchmarkSet(
    title="GTZAN",
    looked_for="GENRE.NNNNN.wav or .au, e.g. genres/jazz/jazz.00054.wav",
    advice=(
        "The original sites (marsyas.info, opihi.cs.uvic.ca) are gone; copies of `genres.tar.gz` are mirrored on the "
        "Hugging Face hub (marsyas/gtzan) and on Kaggle (carlthome/gtzan-genre-collection, "
        "andradaolteanu/gtzan-dataset-music-genre-classification)."
    ),
    suffixes=(".au", ".wav"),  # .au is the original; the damaged jazz.00054 is a .wav of the mirrors
    broken=frozenset({"jazz.00054"}),
)


def tracks(root: Path, splits: Path | None = None) -> Listing:
    """The clips of the fault-filtered split that lie below `root`, by id such as `jazz.00054`, labelled `genre`.

    Args:
        root: folder of the audio, in any layout.
        splits: folder that holds `gtzan_ff.json.gz`; by default it is fetched once.

    Raises:
        MissingArtifact: without audio, or without the split: what was looked for, where people get it.
        InvalidInput: the split given is not the published one.
        CorruptArtifact: it holds something else than this dataset needs.
    """
    files = _GTZAN.files(root)
    return _GTZAN.listing(files, [_clip(entry) for entry in jukemir.entries("gtzan_ff", splits)], _recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    name, genre = entry.text("extra", "id"), entry.text("y")
    if not _ID.fullmatch(name) or genre not in GENRES:
        entry.refuse(f"it is {name!r} of genre {genre!r}, and not GENRE.NNNNN of {GENRES}")
    return BenchmarkClip(id=name, recording=name, group=name, split=entry.split, labels={"genre": genre})


def _recording_of(name: str) -> str:
    stem = PurePosixPath(name).stem.lower()
    return stem if _ID.fullmatch(stem) else ""
