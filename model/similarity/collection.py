"""A store of embeddings as a collection that can be searched: its clips, their unit vectors, and where their audio is.

Axes: C clip, R row of the features, D width.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from model.inference import external_embeddings
from model.inference.representation import BASELINES
from model.similarity.duplicates import clip_means
from model.similarity.exact import unit_rows
from stores import feature_array, feature_labels, locations, manifest
from stores.errors import InvalidInput, MissingArtifact
from stores.features import CLIPS, FeatureStore
from stores.manifest import ClipRow
from stores.mel_store import MelStore

_SUFFIX = ".features.zarr"
_FILES = (".npz", ".parquet")


@dataclass(frozen=True)
class Collection:
    """Embeddings with what is known about their clips."""

    path: Path
    """Path of the embeddings."""
    features: FeatureStore
    """The embeddings, with labels and groups if the mel store is known."""
    store: MelStore | None
    """Mel store of the clips; None if the embeddings do not record one that exists."""
    digest: str
    """Digest of the embeddings."""

    @classmethod
    def open(cls, word: str) -> Collection:
        """Open the embeddings that a command line names: a path, or a dataset with a single feature store.

        Raises:
            MissingArtifact: there are no such embeddings.
            InvalidInput: the dataset has several feature stores.
            CorruptArtifact, DigestMismatch: the embeddings are damaged or stale.
        """
        path = find_embeddings(word)
        if not (path / CLIPS).is_file():
            external = external_embeddings.read(path)
            rows = [ClipRow(i, name, name, name, "", state="written") for i, name in enumerate(external.ids)]
            features = FeatureStore(external.embeddings, rows, external.provenance)
            return cls(path, features, None, str(external.provenance["digest"]))
        features = FeatureStore.read(path)
        digest = str(feature_array.read_attributes(path).get("data_digest") or features.provenance.get("digest"))
        recorded = features.mel_store
        if recorded is None or not recorded.is_dir():
            return cls(path, features, None, digest)
        store = MelStore.open(recorded)
        return cls(path, feature_labels.join(features, store, path), store, digest)

    @property
    def clips(self) -> Sequence[ClipRow]:
        """The clips in order."""
        return self.features.clips

    @property
    def has_windows(self) -> bool:
        """True if some clip has several embeddings, one for each window."""
        return len(self.features.rows) > len(self.clips)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Unit vector of each clip, `[C, D]`."""
        return unit_rows(clip_means(self.features))

    @cached_property
    def windows(self) -> NDArray[np.float32]:
        """Unit vector of each row of the features, `[R, D]`."""
        return unit_rows(self.features.embeddings)

    @cached_property
    def root(self) -> Path | None:
        """Folder of the audio; None if it is unknown or on remote storage."""
        root = "" if self.store is None else str(self.store.attributes["root"])
        return None if not root or "://" in root else Path(root)

    def audio_path(self, row: ClipRow) -> Path | None:
        """Return the path of the audio of a clip; None if it is unknown or the audio is in a container."""
        return None if self.root is None or row.member else self.root / row.source

    def position(self, word: str) -> int | None:
        """Return the position of the clip that a word means: its id, its path, or its file name if only one has it.

        Raises:
            InvalidInput: several clips have this file name.
        """
        ids = manifest.values_of(self.clips, "id")
        if word in ids:
            return ids.index(word)
        file = Path(word)
        paths = [self.audio_path(row) for row in self.clips] if file.is_file() else []
        if any(path and path.name == file.name for path in paths):
            same = [i for i, path in enumerate(paths) if path and path.exists() and path.samefile(file)]
            return same[0] if same else None
        named = [i for i, name in enumerate(ids) if word in (PurePosixPath(name).name, PurePosixPath(name).stem)]
        if len(named) > 1:
            raise InvalidInput(f"{len(named)} clips are called {word}: {_some([ids[i] for i in named])}; state the id")
        return named[0] if named else None

    def unknown(self, word: str) -> MissingArtifact:
        """Return the error about a word that means neither a clip nor a file."""
        ids = manifest.values_of(self.clips, "id")
        similar = difflib.get_close_matches(word, ids, 3, 0.4) or ids[:3]
        return MissingArtifact(
            f"{word} is neither a clip of {self.path} nor an audio file; ids are, for example, {_some(similar)}"
        )

    def same_album(self, album: str) -> NDArray[np.bool_]:
        """Return True for each clip of an album, `[C]`."""
        return np.array([album_of(row) == album for row in self.clips], bool)


def album_of(row: ClipRow) -> str:
    """Return the group of a clip, or the folder of its file if it is a group of its own."""
    if row.group and row.group != row.id:
        return row.group
    folder = str(PurePosixPath(row.id).parent)
    return row.id if folder == "." else folder


def find_embeddings(word: str) -> Path:
    """Return the path of the embeddings that a command line names.

    Raises:
        MissingArtifact: there are none.
        InvalidInput: a dataset has several feature stores. The message lists them.
    """
    path = Path(word)
    if (path / CLIPS).is_file() or (path.suffix in _FILES and path.is_file()):
        return path
    exact = locations.STORES / f"{word}{_SUFFIX}"
    paths = [exact] if (exact / CLIPS).is_file() else _of_encoders(word)
    if not paths:
        raise MissingArtifact(
            f"no embeddings at {word}, and none of a dataset of this name under {locations.STORES}/; make them with "
            "`python -m dags.explore FOLDER` or `python -m model.extract DATASET`"
        )
    windows = [path for path in paths if path.name.endswith(f"-windows{_SUFFIX}")]
    if {*paths} == {path.with_name(path.name.replace("-windows", "")) for path in windows} | {*windows[:1]}:
        return windows[0]  # it has the means, too
    if len(paths) > 1:
        raise InvalidInput(f"{word} has several feature stores; state one: {_some(list(map(str, paths)))}")
    return paths[0]


def _of_encoders(dataset: str) -> list[Path]:
    """Return the feature stores of a dataset, without the baselines that model.probe leaves if there are others."""
    paths = sorted(locations.STORES.glob(f"{dataset}.*{_SUFFIX}"))
    return [path for path in paths if not path.name.removeprefix(f"{dataset}.").startswith(BASELINES)] or paths


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
