"""The datasets that the package mirdata can load (Bittner et al. 2019): tracks, labels, groups and splits.

mirdata knows the layout of each dataset, by an index of its files. It is an extra, because it needs librosa. Its
loaders read annotations, and never audio here.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.datasets import file_kinds
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.labels import EMPTY_WORDS, SEPARATOR

LABELS = {
    "genre": ("genre", "broad_genre", "style"),
    "genres": ("genres",),
    "key": ("key",),
    "key_mode": ("key_mode",),
    "tempo": ("tempo", "tempo_v2"),
    "tags": ("tags", "mb_tags"),
    "instrument": ("instrument", "instrument_full", "instruments"),
    "raga": ("raga", "raaga", "raag"),
    "tala": ("tala", "taala", "taal"),
    "makam": ("makam",),
    "tonic": ("tonic",),
    "mode": ("mode",),
    "effect": ("effect", "fx_type"),
    "technique": ("technique_full", "stroke_name"),
    "pitch_class": ("pitch_reference",),
    "beat_type": ("beat_type",),
    "time_signature": ("time_signature",),
    "difficulty": ("difficulty_annotation",),
}
"""Attributes of a track, by task, that become labels if their value is text, a number, or a list of them."""
GROUPS = (
    *("artist_id", "artist_mbid", "performance_artist_mbid", "artist", "artists", "performance_artist", "main_artist"),
    *("performer", "player_id", "singer_id", "singer", "drummer", "work", "canonical_title", "title", "song_id"),
)
"""Attributes that may be the group. It is the first that most tracks have and whose values are in one split each."""
AUDIO_KEYS = ("audio", "audio_mix", "audio-mix", "mix", "audio_stereo", "audio_mic", "audio_mono")
"""Names of files in an index, the whole mix first. If there is none of them, the first audio file is used."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),
}
"""Our split by the name of mirdata's. Tracks of other parts, such as `omitted`, have none."""


def tracks(root: Path, loader: str) -> Listing:
    """Return the tracks of the dataset `loader` that have audio below `root`, with mirdata's ids.

    The splits are those that mirdata states for the dataset, if any.

    Args:
        root: folder of the dataset, in the layout that mirdata expects.
        loader: name of the dataset in mirdata, such as `giantsteps_key`.

    Raises:
        InvalidInput: if mirdata is not installed, has no such dataset, or lists no audio for it.
        MissingArtifact: if the index of the dataset, its metadata, or all audio is missing.
        CorruptArtifact: if the annotations of a track cannot be read.
    """
    dataset = _initialize(root, loader)
    index = _index(dataset, loader)
    audio = {track_id: path for track_id, files in index.items() if (path := _audio_file(files))}
    if not audio:
        raise InvalidInput(f"mirdata lists no audio for {loader}; choose a dataset with audio")
    on_disk = {track_id: root / path for track_id, path in audio.items() if (root / path).is_file()}
    if not on_disk:
        raise MissingArtifact(
            f"no audio of {loader} below {root}: expected files such as {next(iter(audio.values()))}. Get them as "
            f"mirdata describes (mirdata.initialize({loader!r}).download() or its instructions), and use --root with "
            f"their folder"
        )
    splits = _splits(dataset)
    loaded = {track_id: _load(dataset, track_id) for track_id in on_disk}
    groups = _groups(loaded, splits)
    tracks = [
        Track(
            id=track_id,
            path=path,
            group=groups[track_id],
            split=splits.get(track_id, ""),
            labels=_labels(loaded[track_id]),
        )
        for track_id, path in sorted(on_disk.items(), key=lambda item: item[1])
    ]
    published = Counter(split for track_id, split in splits.items() if split and track_id in audio)
    counts = {"clips missing": len(audio) - len(on_disk), "tracks without audio": len(index) - len(audio)}
    return Listing(tracks, _in_order(published), {name: count for name, count in counts.items() if count}, True)


def _initialize(root: Path, loader: str) -> Any:
    try:
        import mirdata
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"the dataset mirdata needs {error.name}, which is not installed. Install it with: pip install "
            f"'myna[mirdata]'"
        ) from error
    names = sorted(mirdata.list_datasets())
    if loader not in names:
        raise InvalidInput(f"--dataset {loader!r} is not known to mirdata; it has {', '.join(names)}")
    try:
        return mirdata.initialize(loader, data_home=str(root))
    except ImportError as error:  # some loaders need packages of their own
        raise InvalidInput(
            f"the loader {loader} of mirdata needs {error.name}, which is not installed. Install it with: pip install "
            f"'mirdata[{loader}]'"
        ) from error


def _index(dataset: Any, loader: str) -> Mapping[str, Mapping[str, Sequence[str | None]]]:
    """Return the files of each track by their names: path below the root, and checksum."""
    try:
        return dict(dataset._index.get("tracks") or {})
    except FileNotFoundError as error:
        raise MissingArtifact(
            f'the index of {loader} is missing. Download it with: python -c "import mirdata; '
            f"mirdata.initialize('{loader}').download(['index'])\" (the wheel of mirdata 0.3.8 holds most indexes)"
        ) from error


def _audio_file(files: Mapping[str, Sequence[str | None]]) -> str:
    """Return the path of the audio of a track, or empty text."""
    ordered = [*(files[key] for key in AUDIO_KEYS if key in files), *files.values()]
    paths = (entry[0] for entry in ordered if entry and entry[0])
    return next((path for path in paths if file_kinds.suffix_of(path) in file_kinds.SUFFIXES), "")


def _splits(dataset: Any) -> dict[str, str]:
    """Return the split of each track, or nothing if mirdata states none.

    Raises:
        MissingArtifact: mirdata has splits, and the file that states them is missing.
    """
    try:
        parts = dataset.get_track_splits()
    except (NotImplementedError, AttributeError):
        return {}
    except FileNotFoundError as error:
        raise MissingArtifact(
            f"the metadata of {dataset.name} is missing ({error}); download it with mirdata into the folder of --root"
        ) from error
    return {track_id: SPLITS.get(part, "") for part, ids in parts.items() for track_id in ids}


def _load(dataset: Any, track_id: str) -> Any:
    with warnings.catch_warnings():  # some loaders use what their libraries deprecate
        warnings.simplefilter("ignore")
        return dataset.track(track_id)


def _labels(track: Any) -> dict[str, str]:
    labels = {}
    for task, names in LABELS.items():
        if text := next(filter(None, (_text(_attribute(track, name)) for name in names)), ""):
            labels[task] = text
    return labels


def _attribute(track: Any, name: str) -> Any:
    """Return an attribute of a track, or None if it has none or the file of this annotation is not here.

    Raises:
        CorruptArtifact: the annotation cannot be read.
    """
    if not hasattr(type(track), name) and name not in vars(track):
        return None
    with warnings.catch_warnings(), contextlib.suppress(FileNotFoundError):
        warnings.simplefilter("ignore")
        try:
            return getattr(track, name)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CorruptArtifact(f"{name} of track {track.track_id!r} cannot be read by mirdata: {error}") from error
    return None


def _text(value: Any) -> str:
    """Return a value as a label. Words for no value, and types other than text, numbers and lists, give empty text."""
    if isinstance(value, dict):  # of the genres and subgenres of Beatport, for example, the genres
        value = next(iter(value.values()), "")
    if isinstance(value, list | tuple):
        return SEPARATOR.join(dict.fromkeys(text for item in _flat(value) if (text := _text(item))))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value).strip().replace(SEPARATOR, "/")
    return "" if text.casefold() in EMPTY_WORDS else text


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _groups(loaded: Mapping[str, Any], splits: Mapping[str, str]) -> dict[str, str]:
    """Return the group of each track: an artist or the like, if most tracks have one and none is in two splits."""
    for name in GROUPS:
        groups = {track_id: _text(_attribute(track, name)) for track_id, track in loaded.items()}
        named = [track_id for track_id, group in groups.items() if group]
        pairs = {(groups[track_id], splits.get(track_id, "")) for track_id in named}
        if 2 * len(named) > len(groups) and len(pairs) == len({group for group, _ in pairs}):
            return {track_id: group or track_id for track_id, group in groups.items()}
    return {track_id: track_id for track_id in loaded}


def _in_order(published: Mapping[str, int]) -> dict[str, int]:
    return {split: published[split] for split in ("train", "valid", "test") if split in published}
