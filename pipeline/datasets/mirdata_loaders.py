"""The datasets that the package mirdata can load (Bittner et al. 2019): tracks, labels, groups and splits.

mirdata knows the layout of each dataset, by an index of its files. It is an extra, because it needs librosa. Its
loaders read annotations, and never audio here.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.datasets import file_kinds, mirdata_splits
from pipeline.datasets.listing import Listing
from pipeline.datasets.mirdata_annotations import Annotations, unreadable
from pipeline.datasets.track import Track
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

AUDIO_KEYS = ("audio", "audio_mix", "audio-mix", "mix", "audio_stereo", "audio_mic", "audio_mono")
"""Names of files in an index, the whole mix first. If there is none of them, the first audio file is used."""
_Index = Mapping[str, Mapping[str, Sequence[str | None]]]
"""Path below the root, and checksum, of each file of each track."""


def tracks(root: Path, loader: str) -> Listing:
    """Return the tracks of the dataset `loader` that have audio below `root`, with mirdata's ids.

    The splits are those that mirdata states for the dataset, if any.

    Args:
        root: folder of the dataset, in the layout that mirdata expects.
        loader: name of the dataset in mirdata, such as `giantsteps_key`.

    Raises:
        InvalidInput: if mirdata is not installed, has no such dataset, or lists no audio for it.
        MissingArtifact: if the index of the dataset, its metadata, or all audio is missing.
        CorruptArtifact: if the index, the splits, or the annotations of a track cannot be read.
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
    splits = mirdata_splits.splits(dataset, audio)
    selected = {track_id: path for track_id, path in on_disk.items() if not splits or splits.get(track_id)}
    annotations = Annotations({track_id: _load(dataset, track_id) for track_id in selected}, selected)
    groups = mirdata_splits.groups(dataset, annotations, splits)
    tracks = [
        Track(
            id=track_id,
            path=path,
            group=groups[track_id],
            split=splits.get(track_id, ""),
            labels=annotations.labels(track_id),
        )
        for track_id, path in sorted(selected.items(), key=lambda item: item[1])
    ]
    published = Counter(split for track_id, split in splits.items() if split and track_id in audio)
    counts = {
        "clips missing": len(audio) - len(on_disk),
        "tracks without audio": len(index) - len(audio),
        "clips left out by the split": len(on_disk) - len(selected),
        "further audio files of these clips, not used": _count_further_files(index, selected, root),
        **annotations.counts(),
    }
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


def _index(dataset: Any, loader: str) -> _Index:
    """Return the files of each track by their names: path below the root, and checksum."""
    try:
        return dict(dataset._index.get("tracks") or {})
    except FileNotFoundError as error:
        raise MissingArtifact(
            f'the index of {loader} is missing. Download it with: python -c "import mirdata; '
            f"mirdata.initialize('{loader}').download(['index'])\" (the wheel of mirdata 0.3.8 holds most indexes)"
        ) from error
    except ValueError as error:
        raise CorruptArtifact(
            f'the index of {loader} cannot be read ({error}). Download it again with: python -c "import mirdata; '
            f"mirdata.initialize('{loader}').download(['index'], force_overwrite=True)\""
        ) from error


def _audio_file(files: Mapping[str, Sequence[str | None]]) -> str:
    """Return the path of the audio of a track, or empty text."""
    ordered = [*(files[key] for key in AUDIO_KEYS if key in files), *files.values()]
    paths = (entry[0] for entry in ordered if entry and entry[0])
    return next((path for path in paths if file_kinds.suffix_of(path) in file_kinds.SUFFIXES), "")


def _load(dataset: Any, track_id: str) -> Any:
    """Return a track of mirdata.

    Raises:
        CorruptArtifact: its files cannot be read.
    """
    try:
        with warnings.catch_warnings():  # some loaders use what their libraries deprecate
            warnings.simplefilter("ignore")
            return dataset.track(track_id)
    except Exception as error:  # whatever the libraries raise that parse a file
        raise unreadable(f"track {track_id!r}", error) from error


def _count_further_files(index: _Index, on_disk: Mapping[str, Path], root: Path) -> int:
    """Return the number of audio files of the tracks beside the chosen one, such as stems."""
    paths = {
        root / entry[0]
        for track_id in on_disk
        for entry in index[track_id].values()
        if entry and entry[0] and file_kinds.suffix_of(entry[0]) in file_kinds.SUFFIXES
    }
    return sum(path.is_file() for path in paths - set(on_disk.values()))


def _in_order(published: Mapping[str, int]) -> dict[str, int]:
    return {split: published[split] for split in ("train", "valid", "test") if split in published}
