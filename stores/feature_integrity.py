"""Integrity check of a feature store against its own digests and against its mel store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stores import feature_labels
from stores.errors import CorruptArtifact, MissingArtifact
from stores.feature_array import find_missing_chunks, read_attributes
from stores.features import CLIPS, FeatureStore
from stores.mel_store import MelStore

SUFFIX = ".features.zarr"
_ADVICE = "; extract again"


def is_feature_store(path: Path) -> bool:
    """Return whether a folder is a feature store, by its content or, if that is damaged, by its name."""
    if (path / CLIPS).is_file() or path.name.endswith(SUFFIX):
        return True
    try:
        return "data_digest" in read_attributes(path)
    except CorruptArtifact:
        return False


def find_damage(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the subject and a description of everything that is wrong with a feature store.

    The kind is `missing`, `corrupt` or `stale`. All bytes are read and compared with their digests.
    """
    try:
        features = FeatureStore.read(path, any_axis=True)
    except MissingArtifact as error:
        yield "missing", CLIPS, str(error)
    except CorruptArtifact as error:
        lost = find_missing_chunks(path)
        for file in lost:
            yield "missing", str(file.relative_to(path)), f"its embeddings are lost{_ADVICE}"
        if not lost:
            yield "corrupt", path.name, f"{str(error).removesuffix(_ADVICE)}{_ADVICE}"
    else:
        yield from _compare_with_mel_store(path, features)


def _compare_with_mel_store(path: Path, features: FeatureStore) -> Iterator[tuple[str, str, str]]:
    """Yield that the features are stale if their mel store has changed. They can be used without it."""
    if features.mel_store is None or not features.mel_store.is_dir():
        return
    try:
        changes = feature_labels.describe_changes(features, MelStore.open(features.mel_store, complete=False))
    except MissingArtifact:
        return
    except CorruptArtifact as error:
        changes = f"its mel store cannot be read: {error}"
    if changes:
        yield "stale", path.name, f"{features.mel_store} has changed since: {changes}{_ADVICE}"
