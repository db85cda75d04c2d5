"""Playlists of clips: M3U8 for players, and JSON for programs. Names and paths in them are text of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.similarity.collection import Collection
from model.similarity.neighbors import Match
from stores.commit import write_bytes, write_json


def write(path: Path, collection: Collection, matches: Sequence[Match]) -> int:
    """Write a playlist and return the number of its tracks.

    A track whose audio is not a file of its own, or whose path contains a line break, is left out of an .m3u8 file.
    """
    if path.suffix == ".json":
        write_json(path, {"tracks": [match.to_dict(collection) for match in matches]})
        return len(matches)
    tracks = [lines for match in matches if (lines := _lines(collection, match))]
    write_bytes(path, "\n".join(["#EXTM3U", *tracks, ""]).encode("utf-8", "surrogateescape"))
    return len(tracks)


def _lines(collection: Collection, match: Match) -> str:
    audio = collection.audio_path(match.clip)
    if audio is None or len(str(audio).splitlines()) != 1:
        return ""
    seconds = collection.store.spec.seconds_for(match.clip.frames) if collection.store else -1
    return f"#EXTINF:{round(seconds)},{' '.join(match.clip.id.splitlines())}\n{audio.absolute()}"
