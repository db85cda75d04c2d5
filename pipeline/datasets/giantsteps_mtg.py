"""GiantSteps-MTG as a training set for keys: 1,486 previews of two minutes with their annotations (Faraldo 2017).

The tables of the published repository state more than the split of JukeMIR: the certainty of the annotator, the
artists, and the MD5 of each preview. Of the 1,486 previews, 1,159 have one certain key, and eight of these are copies.
All songs that share an artist are one group. Every group is in train or valid, because the test set of this task is
another dataset (see `pipeline.datasets.giantsteps`).
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.listing import Listing
from stores.errors import CorruptArtifact, MissingArtifact

ANNOTATIONS, METADATA, DIGESTS = "annotations/annotations.txt", "annotations/beatport_metadata.txt", "md5"
CERTAIN = "2"
"""Largest confidence of the annotator, on the published scale of 0 to 2."""
VALID_SHARE = 0.15
"""Share of the groups that are in valid."""
_FLATS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
_KEY = re.compile(r"([A-G]#?) (major|minor)")
_STEM = re.compile(r"0*([0-9]{1,10})(\.LOFI)?")
_SET = BenchmarkSet(
    title="GiantSteps-MTG",
    file_names="BEATPORT_ID.LOFI.mp3, or BEATPORT_ID with any audio suffix, e.g. audio/10089.LOFI.mp3",
    advice=(
        "Run audio_dl.sh in a clone of github.com/GiantSteps/giantsteps-mtg-key-dataset. A mirror of the audio is "
        "https://www.cp.jku.at/datasets/giantsteps/mtg_key_backup/."
    ),
    suffixes=(".mp3",),
)


def tracks(root: AudioPath, metadata: Path | None = None) -> Listing:
    """Return the previews below `root` that have one certain key, with ids such as `10089`, grouped by artist.

    The label `key` is a key such as `Eb minor`. Previews whose key is uncertain, changes, or does not exist are left
    out, and so are copies of the same audio, except the one with the smallest id.

    Args:
        root: folder of the audio.
        metadata: the clone of the published repository (default: `root`).

    Raises:
        MissingArtifact: if the audio or the annotations are missing.
        CorruptArtifact: if a table is not in the published format.
    """
    files = _SET.files(root)
    folder = _repository(root, metadata)
    keys = {number: _key(row) for number, row in _table(folder / ANNOTATIONS, ("MANUAL KEY", "C")).items()}
    artists = _table(folder / METADATA, ("ARTIST",))
    groups = _groups({number: _artists(artists[number]["ARTIST"]) if number in artists else () for number in keys})
    copies = _copies(folder / DIGESTS, [number for number, key in keys.items() if key])
    clips = [_clip(number, key, groups[number], number in copies) for number, key in keys.items()]
    listing = _SET.listing(files, clips, _recording_of)
    uncertain = sum(not key for key in keys.values())
    note = f"{uncertain} previews without one certain key and {len(copies)} copies of other previews are left out"
    published = {split: count for split, count in listing.published.items() if count}
    return replace(listing, published=published, notes=(*listing.notes, note))


def _repository(root: AudioPath, metadata: Path | None) -> Path:
    folder = metadata or root
    if isinstance(folder, RemotePath) or not (folder / ANNOTATIONS).is_file():
        raise MissingArtifact(
            f"no {ANNOTATIONS} below {folder}. Clone github.com/GiantSteps/giantsteps-mtg-key-dataset, and use "
            f"--metadata with its folder"
        )
    return folder


def _table(path: Path, columns: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the rows of a published table by their id."""
    try:
        with path.open(encoding="utf-8", newline="") as content:
            rows = {row["ID"].strip(): row for row in csv.DictReader(content, delimiter="\t", quoting=csv.QUOTE_NONE)}
        return {number: {column: row[column].strip() for column in columns} for number, row in rows.items()}
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        message = f"{path} is not a table of GiantSteps-MTG ({type(error).__name__}: {error}); clone it again"
        raise CorruptArtifact(message) from error


def _key(row: Mapping[str, str]) -> str:
    """Return the key in the spelling of GiantSteps, or empty text if none is certain."""
    match = _KEY.fullmatch(row["MANUAL KEY"])
    return f"{_FLATS.get(match[1], match[1])} {match[2]}" if match and row["C"] == CERTAIN else ""


def _artists(text: str) -> Sequence[str]:
    return [name for part in text.split(",") if (name := part.strip().casefold()) not in ("", "various artists")]


def _groups(artists: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Return the group of each song: the smallest id among the songs that it shares artists with, directly or not."""
    songs = sorted(artists, key=_number)
    parents = {song: song for song in songs}

    def root(song: str) -> str:
        """Return the representative of the group of a song, and shorten the way to it."""
        while parents[song] != song:
            parents[song] = song = parents[parents[song]]
        return song

    first_song: dict[str, str] = {}
    for song in songs:
        for artist in artists[song]:
            first, other = sorted((root(song), root(first_song.setdefault(artist, song))), key=_number)
            parents[other] = first
    return {song: root(song) for song in songs}


def _copies(folder: Path, numbers: Sequence[str]) -> set[str]:
    """Return the songs whose audio has the same published MD5 as that of a song with a smaller id."""
    first: dict[str, str] = {}
    for number in sorted(numbers, key=_number):
        try:
            digest = (folder / f"{number}.LOFI.md5").read_text("utf-8").split()[0]
        except (OSError, ValueError, IndexError):
            digest = number  # without a digest, the preview is no known copy
        first.setdefault(digest, number)
    return set(numbers) - set(first.values())


def _clip(number: str, key: str, group: str, is_copy: bool) -> BenchmarkClip:
    share = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest(), "big") / 2**64
    split = "valid" if share < VALID_SHARE else "train"
    return BenchmarkClip(
        id=number,
        recording=number,
        group=group,
        split=split if key and not is_copy else "",
        labels={"key": key},
    )


def _number(song: str) -> tuple[int, str]:
    return (int(song) if song.isascii() and song.isdigit() else 0), song


def _recording_of(name: str) -> str:
    match = _STEM.fullmatch(PurePosixPath(name).stem)
    return match[1] if match else ""
