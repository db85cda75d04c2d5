"""The names of the tracks of a collection, as a music server knows them.

The table of `--tracks` is a CSV file with the columns `path`, which is the id of a clip, and `item_id`, which is the id
of the music server. The columns title, author, album and album_artist are optional. Without a table, the id of a clip
is its item id, and its labels, its file name and its folder give the names.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stores.commit import read_bounded
from stores.errors import InvalidInput, MissingArtifact
from stores.labels import count_noun
from stores.manifest import ClipRow

UNKNOWN = "unknown"
"""Name of an album or an author that is not known, as AudioMuse-AI has it."""
MAX_TABLE_BYTES = 1 << 28
"""Largest table that is read: about a million tracks."""
_NAMES = ("title", "author", "album", "album_artist")


@dataclass(frozen=True)
class Track:
    """The names of a clip."""

    item_id: str
    """Id in the music server, or that of the clip."""
    title: str
    """Title, or the file name."""
    author: str
    """Artist, or `unknown`."""
    album: str
    """Album, or the folder, or `unknown`."""
    album_artist: str
    """Artist of the album, or `unknown`."""

    @property
    def has_author(self) -> bool:
        """True if the artist is known."""
        return self.author != UNKNOWN


def tracks_of(clips: Sequence[ClipRow], table: Path | None) -> list[Track]:
    """Return the names of all clips in order.

    Raises:
        MissingArtifact: there is no such table.
        InvalidInput: the table cannot be used, or two clips have the same item id.
    """
    rows = {} if table is None else _read(table)
    unlisted = sum(row.id not in rows for row in clips)
    if table is not None and unlisted == len(clips):
        raise InvalidInput(
            f"{table} lists no clip of the collection; its column path must hold ids such as {clips[0].id}"
        )
    if table is not None and unlisted:
        print(f"note: {count_noun(unlisted, 'clip')} of the collection not in {table}", file=sys.stderr)
    tracks = [_track(row, rows.get(row.id, {})) for row in clips]
    _require_different([track.item_id for track in tracks], "item_id", str(table))
    return tracks


def _track(row: ClipRow, names: Mapping[str, str]) -> Track:
    labels, path = row.labels, PurePosixPath(row.id)
    artist = labels.get("artist", "") or labels.get("author", "")
    folder = path.parent.name
    return Track(
        names.get("item_id") or row.id,
        names.get("title") or labels.get("title", "") or path.stem,
        names.get("author") or artist or UNKNOWN,
        names.get("album") or labels.get("album", "") or folder or UNKNOWN,
        names.get("album_artist") or artist or UNKNOWN,
    )


def _read(table: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the table by clip."""
    if not table.is_file():
        raise MissingArtifact(f"no table of tracks at {table}; give a CSV file with the columns path and item_id")
    try:
        lines = read_bounded(table, MAX_TABLE_BYTES).decode("utf-8-sig").splitlines()
        rows = list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{table} is not a CSV file in UTF-8: {error}") from error
    for column in ("path", "item_id"):
        if not rows or rows[0].get(column) is None:
            raise InvalidInput(f"{table} needs a first line with the columns path and item_id, and a line per track")
    _require_different([row["path"] for row in rows], "path", str(table))
    return {row["path"]: {name: (row.get(name) or "").strip() for name in ("item_id", *_NAMES)} for row in rows}


def _require_different(values: Sequence[str], column: str, table: str) -> None:
    if len(set(values)) < len(values):
        seen: set[str] = set()
        double = next(value for value in values if value in seen or seen.add(value))  # type: ignore[func-returns-value]
        raise InvalidInput(f"{table}: the {column} {double[:80]!r} occurs twice, and one track each is needed")
