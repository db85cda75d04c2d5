"""Splits and groups of the tracks of mirdata.

A split is what a loader states, or the folder of the audio. A group is the multitrack, an artist, or the like.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.datasets.mirdata_annotations import Annotations, text_of, unreadable
from stores.errors import MissingArtifact

GROUPS = (
    *("artist_id", "artist_mbid", "performance_artist_mbid", "artist", "artists", "performance_artist", "main_artist"),
    *("performer", "player_id", "singer_id", "singer", "drummer", "work", "canonical_title", "title", "song_id"),
)
"""Attributes that may be the group. It is the first that most tracks have and whose values are in one split each."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),
}
"""Our split by the name of mirdata's. Tracks of other parts, such as `omitted`, have none."""


def splits(dataset: Any, audio: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each track, or nothing if there is none. A track of a part that is no split has empty text.

    Args:
        dataset: the dataset of mirdata.
        audio: path of the audio below the root by track.

    Raises:
        MissingArtifact: the dataset has splits, and the file that states them is missing.
        CorruptArtifact: the file that states them cannot be read.
    """
    try:
        parts = _stated_parts(dataset, audio)
    except FileNotFoundError as error:
        raise MissingArtifact(
            f"the metadata of {dataset.name} is missing ({error}); download it with mirdata into the folder of --root"
        ) from error
    except Exception as error:
        raise unreadable(f"the splits of {dataset.name}", error) from error
    by_track = {track_id: SPLITS.get(text_of(part).casefold(), "") for track_id, part in parts.items()}
    return by_track if any(by_track.values()) else _folder_splits(audio)


def groups(dataset: Any, annotations: Annotations, splits: Mapping[str, str]) -> dict[str, str]:
    """Return the group of each track: its multitrack, or an attribute that most tracks have and no split shares.

    Tracks of one audio file, of which some datasets have several, are in one group.

    Raises:
        CorruptArtifact: an annotation cannot be read.
    """
    return _joined_by_file(annotations, _multitracks(dataset, annotations) or _attribute_groups(annotations, splits))


def _stated_parts(dataset: Any, audio: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of each track that mirdata names: its split, or its subset."""
    try:
        parts = dataset.get_track_splits()
    except NotImplementedError:
        if not hasattr(dataset._track_class, "subset"):
            return {}
        return {track_id: dataset.track(track_id).subset for track_id in audio}
    return {track_id: part for part, ids in parts.items() for track_id in ids}


def _folder_splits(audio: Mapping[str, str]) -> dict[str, str]:
    """Return the splits that folders name, if they do for all tracks, and otherwise nothing."""
    named = {
        track_id: next((SPLITS[folder] for folder in PurePosixPath(path).parts[:-1] if folder in SPLITS), "")
        for track_id, path in audio.items()
    }
    return named if all(named.values()) else {}


def _multitracks(dataset: Any, annotations: Annotations) -> dict[str, str]:
    """Return the multitrack of each track, or nothing if the dataset has none. Its tracks are one performance."""
    index = dataset._index.get("multitracks") or {}
    names = {track_id: name for name, entry in index.items() for track_id in entry.get("tracks") or ()}
    return {track_id: names.get(track_id, track_id) for track_id in annotations.tracks} if names else {}


def _attribute_groups(annotations: Annotations, splits: Mapping[str, str]) -> dict[str, str]:
    for name in GROUPS:
        groups = {track_id: annotations.text(track_id, name) for track_id in annotations.tracks}
        named = [track_id for track_id, group in groups.items() if group]
        pairs = {(groups[track_id], splits.get(track_id, "")) for track_id in named}
        if 2 * len(named) > len(groups) and len(pairs) == len({group for group, _ in pairs}):
            return {track_id: group or track_id for track_id, group in groups.items()}
    annotations.count_missing("artist or other group", GROUPS)
    return {track_id: track_id for track_id in annotations.tracks}


def _joined_by_file(annotations: Annotations, groups: Mapping[str, str]) -> dict[str, str]:
    """Return the groups, with those joined that share an audio file."""
    joined: dict[str, str] = {}

    def representative(group: str) -> str:
        """Return the group that a group has become part of, or the group itself."""
        while group in joined:
            group = joined[group]
        return group

    by_path: dict[str, str] = {}
    for track_id, group in groups.items():
        own = representative(group)
        other = representative(by_path.setdefault(str(annotations.audio[track_id]), own))
        if own != other:
            joined[own] = other
    return {track_id: representative(group) for track_id, group in groups.items()}
