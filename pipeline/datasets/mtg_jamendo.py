"""MTG-Jamendo: 55,701 full tracks with 195 tags, in the published layout (Bogdanov et al. 2019).

The audio is `NN/ID.mp3` or, in low quality, `NN/ID.low.mp3`, in folders or still in the published tars. The metadata is
the folder `data` of the repository: `splits/split-N/autotagging-train.tsv` and so on, with N from 0 to 4. The splits
of the subsets (genre, instrument, mood and theme, top 50) are parts of one split, so one listing has the labels of all
of them. A group is an artist. In no split is an artist in two parts.
"""

from __future__ import annotations

import csv
import filecmp
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.listing import Listing
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.labels import SEPARATOR, is_empty_word, join_tags

SPLIT_NUMBERS = range(5)
BASE, TOP50 = "autotagging", "autotagging_top50tags"
SUBSETS = (BASE, "autotagging_genre", "autotagging_instrument", "autotagging_moodtheme", TOP50)
CATEGORIES = {"genre": "genre---", "instrument": "instrument---", "moodtheme": "mood/theme---"}
"""Tasks whose tags begin with a category, which the label leaves out. The tasks `tags` and `top50tags` keep it."""
HEADER = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
BOUND_SLACK_SECONDS = 2.0
"""Seconds that are added to the stated length of a track, which is rounded and taken from another encoding."""

_PARTS = {"train": "train", "validation": "valid", "test": "test"}
_FILE = re.compile(r"0*([0-9]{1,9})(?:\.low)?")
_JAMENDO = BenchmarkSet(
    title="MTG-Jamendo",
    file_names="NN/ID.mp3 or NN/ID.low.mp3, e.g. 48/948.mp3, in folders or in raw_30s_audio-NN.tar",
    advice=(
        "Get the audio with scripts/download/download.py of github.com/MTG/mtg-jamendo-dataset (--type audio, 508 GB, "
        "or audio-low, 156 GB)."
    ),
    suffixes=(".mp3",),
    lesser_ending=".low",
)


@dataclass
class _Metadata:
    """The metadata of one track, from all files that name it."""

    artist: str
    path: str
    seconds: float
    split: str
    tags: dict[str, list[str]] = field(default_factory=dict)
    """Tags by subset."""


def tracks(root: AudioPath, metadata: Path | None = None, split_number: int = 0) -> Listing:
    """Return the tracks of a split, with ids such as `track_0000948`, grouped by artist.

    The labels are `tags`, `genre`, `instrument`, `moodtheme` and `top50tags`, as far as the files of the split are
    there.

    Args:
        root: folder of the audio.
        metadata: folder that holds the files of the splits at any depth (default: `root`).
        split_number: number of the split, 0 to 4.

    Raises:
        MissingArtifact: if the audio or the files of the split are missing.
        CorruptArtifact: if a file is not in the published format, or contradicts itself or another. The message names
            the line or the tracks.
        InvalidInput: if there are two different files of the split with one name.
    """
    files = _JAMENDO.files(root)
    rows: dict[str, _Metadata] = {}
    for path, subset, split in _split_files(root, metadata, split_number):
        _add_file(path, subset, split, rows)
    _require_distinct_paths(rows)
    clips = [_clip(track_id, row) for track_id, row in sorted(rows.items())]
    return _JAMENDO.listing(files, clips, _recording_of)


def _split_files(root: AudioPath, metadata: Path | None, number: int) -> Iterator[tuple[Path, str, str]]:
    """Yield path, subset and split of each file of a split."""
    folder = metadata or root
    names = {f"{subset}-{part}.tsv": (subset, split) for subset in SUBSETS for part, split in _PARTS.items()}
    paths = [] if isinstance(folder, RemotePath) else sorted(folder.rglob(f"split-{number}/*.tsv"))
    tables = _one_per_name([path for path in paths if path.name in names])
    for subset in SUBSETS:
        missing = [f"{subset}-{part}.tsv" for part in _PARTS if f"{subset}-{part}.tsv" not in tables]
        if 0 < len(missing) < len(_PARTS):
            raise MissingArtifact(f"{' and '.join(missing)} of split-{number} missing below {folder}; add them")
    if not tables:
        raise MissingArtifact(
            f"no split-{number} of MTG-Jamendo below {folder}: expected data/splits/split-{number}/"
            f"autotagging-train.tsv, -validation.tsv and -test.tsv. Clone github.com/MTG/mtg-jamendo-dataset, and use "
            f"--metadata with its folder"
        )
    yield from ((tables[name], *names[name]) for name in names if name in tables)


def _one_per_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the tables by name.

    Raises:
        InvalidInput: two of one name differ, as those of two versions of the repository do.
    """
    tables: dict[str, Path] = {}
    for path in paths:
        first = tables.setdefault(path.name, path)
        if first != path and not filecmp.cmp(first, path, shallow=False):
            raise InvalidInput(f"{first} and {path} differ; use --metadata with the folder of one of them")
    return tables


def _add_file(path: Path, subset: str, split: str, rows: dict[str, _Metadata]) -> None:
    for line, cells in _lines(path):
        track_id, artist, _, audio, seconds, *tags = cells
        row = rows.setdefault(track_id, _Metadata(artist, audio, _seconds(path, line, seconds), split))
        if problem := _contradiction(row, artist, audio, subset, split):
            raise CorruptArtifact(f"{path}, line {line}: {track_id} {problem}; download the files again")
        row.tags[subset] = [_tag(path, line, tag) for tag in tags if not is_empty_word(tag)]


def _contradiction(row: _Metadata, artist: str, audio: str, subset: str, split: str) -> str:
    """Return what is wrong with a further line of a track, or empty text."""
    if row.split != split:
        return f"is also in {row.split}"
    if subset in row.tags:
        return "is also in an earlier line"
    if (row.artist, row.path) != (artist, audio):
        return f"has {artist!r} and {audio!r}, and in another file {row.artist!r} and {row.path!r}"
    return ""


def _tag(path: Path, line: int, text: str) -> str:
    tag = text.strip()
    if SEPARATOR in tag or tag.endswith("---"):
        raise CorruptArtifact(f"{path}, line {line}: {tag!r} is not a tag such as genre---rock; download it again")
    return tag


def _require_distinct_paths(rows: Mapping[str, _Metadata]) -> None:
    """Check that no two tracks have one recording, which could stand in two splits.

    Raises:
        CorruptArtifact: two tracks have the same path.
    """
    owners: dict[str, str] = {}
    for track_id, row in rows.items():
        if (owner := owners.setdefault(_recording_of(row.path) or row.path, track_id)) != track_id:
            raise CorruptArtifact(f"{owner} and {track_id} have the same path {row.path}; download the files again")


def _lines(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as content:
            for line, cells in enumerate(csv.reader(content, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
                if line == 1 and tuple(cells) != HEADER:
                    raise CorruptArtifact(f"{path}, line 1: expected the columns {HEADER} (got {cells})")
                if line > 1 and len(cells) < len(HEADER):
                    raise CorruptArtifact(f"{path}, line {line}: {len(cells)} cells; a track has a path and tags")
                if line > 1:
                    yield line, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorruptArtifact(f"{path} is not a table of MTG-Jamendo ({error}); download it again") from error


def _seconds(path: Path, line: int, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise CorruptArtifact(f"{path}, line {line}: the duration {text!r} is not a number")
    return seconds


def _clip(track_id: str, row: _Metadata) -> BenchmarkClip:
    return BenchmarkClip(
        id=track_id,
        recording=_recording_of(row.path) or row.path,
        group=row.artist.strip() or track_id,
        split=row.split,
        labels=_labels(row.tags),
        bound_seconds=max(0.0, row.seconds) + BOUND_SLACK_SECONDS,
    )


def _labels(tags: Mapping[str, Sequence[str]]) -> dict[str, str]:
    every = list(dict.fromkeys(tag for subset in tags.values() for tag in subset))
    by_task = {
        "tags": tags.get(BASE, ()),
        "top50tags": tags.get(TOP50, ()),
        **{
            task: [tag.removeprefix(start) for tag in every if tag.startswith(start)]
            for task, start in CATEGORIES.items()
        },
    }
    return {task: join_tags(values) for task, values in by_task.items() if values}


def _recording_of(name: str) -> str:
    match = _FILE.fullmatch(PurePosixPath(name).stem)
    return match[1].zfill(9) if match else ""
