"""FMA, the Free Music Archive (Defferrard et al. 2017), in its published layout: `fma_small/000/000002.mp3`.

`tracks.csv` of fma_metadata.zip states the subset, the split, the artist and the genres of each track. The subsets
small (8,000 tracks), medium (25,000) and large (106,574) are clips of 30 s; `fma_full` holds the whole tracks. No
artist is in two splits, and the artist is the group. The published zips are read as they are, or unpacked.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import csv as arrow_csv

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.listing import Listing
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.labels import SEPARATOR, join_tags

TRACKS_FILE, GENRES_FILE = "tracks.csv", "genres.csv"
SUBSETS = ("small", "medium", "large")
"""Published subsets, each a part of the next. `fma_full` has the tracks of `large`, not cut to 30 s."""
DAMAGED_CLIPS = frozenset(
    f"{number:06d}"
    for number in (
        *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98565, 98566, 98567, 98568, 98569, 98571, 99134),
        *(105247, 108924, 108925, 126981, 127336, 133297, 143992),
    )
)
"""Clips of 30 s that have little audio or none, because the length that they were cut by was wrong (mdeff/fma#8)."""

_SPLITS = {"training": "train", "validation": "valid", "test": "test"}
_COLUMNS = {
    "subset": ("set", "subset"),
    "split": ("set", "split"),
    "artist": ("artist", "id"),
    "genre": ("track", "genre_top"),
    "genres": ("track", "genres_all"),
}
_HEADER_LINES = 3
_BLOCK_BYTES = 64 << 20  # a row must fit, with the biography of its artist
_STEM = re.compile(r"[0-9]{6}")
_ID = re.compile(r"[0-9]{1,6}")
_GENRES = re.compile(r"\s*(?:\[\s*(?:[0-9]{1,9}\s*(?:,\s*[0-9]{1,9}\s*)*)?\])?\s*")
_FOLDER = re.compile(r"fma_(small|medium|large|full)")
_FMA = BenchmarkSet(
    title="FMA",
    file_names="NNN/NNNNNN.mp3, e.g. fma_small/000/000002.mp3, or fma_small.zip",
    advice="Get fma_small.zip, fma_medium.zip, fma_large.zip or fma_full.zip as github.com/mdeff/fma describes.",
    suffixes=(".mp3",),
)
_CLIPS = replace(_FMA, damaged_ids=DAMAGED_CLIPS)


def tracks(root: AudioPath, metadata: Path | None = None) -> Listing:
    """Return the tracks below `root` that `tracks.csv` lists, with ids such as `000002`, grouped by artist.

    The label `genre` is the top genre, which a track of several top genres does not have. The label `tags` joins the
    titles of all genres, if `genres.csv` is beside `tracks.csv`. The published counts are those of the subset that the
    folders name, or of the smallest subset that has all tracks below `root`.

    Args:
        root: folder of the audio.
        metadata: folder that holds `tracks.csv` at any depth (default: `root`).

    Raises:
        MissingArtifact: if the audio or `tracks.csv` is missing.
        InvalidInput: if whole tracks and clips of 30 s are below `root`.
        CorruptArtifact: if a file is not in the published format, or if a track is listed twice.
    """
    files = _FMA.files(root)
    table = _metadata_file(root, metadata)
    titles = _titles(table.parent / GENRES_FILE)
    rows = list(_rows(table))
    _require_distinct_ids(table, rows)
    on_disk = {_recording_of(name) for name in files.names}
    folders = _folders(files)
    subset = _subset(folders, {row["id"]: row["subset"] for row in rows if row["id"] in on_disk})
    wanted = SUBSETS[: SUBSETS.index(subset) + 1]
    clips = [_clip(row, titles, row["subset"] in wanted) for row in rows]
    published = _FMA if folders == {"full"} else _CLIPS
    listing = published.listing(files, clips, _recording_of)
    return replace(listing, counts={**listing.counts, **_unknown_genres(rows, titles)})


def _metadata_file(root: AudioPath, metadata: Path | None) -> Path:
    folder = metadata or root
    tables = [] if isinstance(folder, RemotePath) else list(folder.rglob(TRACKS_FILE))
    paths = sorted(tables, key=lambda path: (len(path.parts), path))
    if not paths:
        raise MissingArtifact(
            f"no {TRACKS_FILE} of FMA below {folder}. Get fma_metadata.zip as github.com/mdeff/fma describes, unpack "
            f"it, and use --metadata with its folder"
        )
    return paths[0]


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the needed cells of each track as text, and its id with six digits.

    Raises:
        CorruptArtifact: the file is not the published table.
    """
    try:
        places = _places(path)
        names = [f"f{place}" for place in places.values()]
        columns = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                skip_rows=_HEADER_LINES, autogenerate_column_names=True, block_size=_BLOCK_BYTES
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        for cells in zip(*(columns.column(name).to_pylist() for name in names), strict=True):
            row = dict(zip(places, cells, strict=True))
            if not _ID.fullmatch(row["id"]):
                raise ValueError(f"{row['id'][:100]!r} is not the number of a track")
            yield {**row, "id": row["id"].zfill(6)}
    except (OSError, ValueError, KeyError, pa.ArrowException, csv.Error, StopIteration) as error:
        raise CorruptArtifact(f"{path} is not the published table of tracks ({error}); download it again") from error


def _places(path: Path) -> dict[str, int]:
    """Return the numbers of the needed columns. The first two lines name a column: its group, and its name in it.

    The third line names the index. Without this check, a table without that line would lose its first track.
    """
    with path.open(encoding="utf-8", newline="") as content:
        lines = csv.reader(content)
        groups, names, index = next(lines, []), next(lines, []), next(lines, [])
    if index[:1] != ["track_id"]:
        raise ValueError(f"line {_HEADER_LINES} begins with {''.join(index[:1])[:100]!r} instead of 'track_id'")
    columns = {pair: place for place, pair in enumerate(zip(groups, names, strict=False))}
    return {"id": 0} | {name: columns[pair] for name, pair in _COLUMNS.items()}


def _titles(path: Path) -> Mapping[int, str]:
    """Return the titles of genres by id, or nothing if there is no such file."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as content:
            return {int(row["genre_id"]): row["title"].replace(SEPARATOR, "/") for row in csv.DictReader(content)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise CorruptArtifact(f"{path} is not the published table of genres ({error}); download it again") from error


def _clip(row: Mapping[str, str], titles: Mapping[int, str], is_wanted: bool) -> BenchmarkClip:
    labels = {"genre": row["genre"], "tags": join_tags(titles[number] for number in _genres(row) if number in titles)}
    return BenchmarkClip(
        id=row["id"],
        recording=row["id"],
        group=row["artist"].strip() or f"track {row['id']}",
        split=_SPLITS.get(row["split"], "") if is_wanted else "",
        labels={task: label for task, label in labels.items() if label},
    )


def _genres(row: Mapping[str, str]) -> Sequence[int]:
    if not _GENRES.fullmatch(row["genres"]):
        raise CorruptArtifact(f"track {row['id']}: {row['genres'][:100]!r} is not a list of genres such as [21, 17]")
    return [int(number) for number in re.findall(r"[0-9]+", row["genres"])]


def _require_distinct_ids(table: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Check that no track is listed twice, because one of its rows could put it into another split.

    Raises:
        CorruptArtifact: a track is listed twice.
    """
    repeated = [track_id for track_id, count in Counter(row["id"] for row in rows).items() if count > 1]
    if repeated:
        raise CorruptArtifact(f"{table} lists track {repeated[0]} more than once; download it again")


def _unknown_genres(rows: Sequence[Mapping[str, str]], titles: Mapping[int, str]) -> dict[str, int]:
    """Count the genres of tracks that the table of genres does not name, or the missing table."""
    if not titles:
        return {f"{GENRES_FILE} not found beside {TRACKS_FILE}, so there is no label tags": 1}
    count = sum(number not in titles for row in rows for number in _genres(row))
    return {f"genres of tracks that {GENRES_FILE} does not name": count} if count else {}


def _folders(files: AudioFiles) -> set[str]:
    """Return the subsets that folders and archives name.

    Raises:
        InvalidInput: some recordings are whole tracks, and others are clips of 30 s.
    """
    names = {match[1] for name in files.names for match in _FOLDER.finditer(name)}
    names |= {match[1] for match in [_FOLDER.fullmatch(files.root.name)] if match}
    if "full" in names and len(names) > 1:
        raise InvalidInput(
            f"{files.root} holds whole tracks (fma_full) and clips of 30 s ({', '.join(sorted(names - {'full'}))}); "
            f"use --root with one of these folders"
        )
    return names


def _subset(folders: set[str], subsets: Mapping[str, str]) -> str:
    """Return the subset whose published numbers apply."""
    named = [subset for subset in SUBSETS if subset in folders] or (["large"] if "full" in folders else [])
    represented = [subset for subset in SUBSETS if subset in subsets.values()]
    return (named or represented or ["large"])[-1]


def _recording_of(name: str) -> str:
    stem = PurePosixPath(name).stem
    return stem if _STEM.fullmatch(stem) else ""
