"""A representation: a named way to compute features from a mel store, which are kept in a feature store."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import digest, feature_labels, locations
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore, record_mel_store
from stores.lock import write_lock
from stores.manifest import ClipRow
from stores.mel_store import MelStore

_SOURCE_KEYS = ("store_digest", "mel", "encoder", "weights")
FeatureFunction = Callable[[MelStore, Sequence[ClipRow]], NDArray[np.float32]]
"""Function from a store and its rows to features `[clips, D]`."""

BASELINES = ("untrained", "mean-log-mel", "mean-chroma", "mfcc")
"""Names of the representations that an encoder is compared with; `untrained` is followed by the settings."""


@dataclass(frozen=True)
class Representation(ABC):
    """A way to compute features, with the settings that they depend on."""

    name: str
    """Name of the run or of the baseline, which becomes part of the feature store's name."""
    settings: dict[str, Any]
    """All settings that can change a value, as JSON values."""
    trained_on: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Settings of the mels that the encoder was trained on; empty for a baseline."""

    def path(self, dataset: str) -> Path:
        """Return the default path of the features of `dataset`."""
        return locations.feature_store(dataset, self.name)

    def extract(self, store: MelStore, path: Path, *, replaces: bool = True) -> FeatureStore:
        """Return the features of every clip with a mel, and compute them unless `path` holds them already.

        Labels, splits and groups are those of `store`.

        Features at `path` that were computed from another mel or by another encoder are replaced, with a note.

        Args:
            store: mel store of the clips.
            path: path of the feature store.
            replaces: replace finished features of the same encoder and mel whose engine, precision or windows differ.
                Such features are an error if this is False.

        Raises:
            InvalidInput: the store has no clip with a mel, an embedding is not finite, or another process is writing.
            DigestMismatch: the encoder was trained on another mel specification (another decoder or quantizer only
                prints a note); or `path` holds features with other settings that are unfinished or not to be replaced.
        """
        provenance = self.provenance(store)
        for difference in digest.diff_settings(self.trained_on, store.value_settings()):
            print(
                f"note: {self.name} was trained on other mels than those of {store.path}: {difference}", file=sys.stderr
            )
        features = self._stored(path, provenance)
        if features is None:
            with write_lock(path):  # two extractions into one store would mix
                features = self._stored(path, provenance)  # another process may have finished meanwhile
                if features is None:
                    self._explain(path, provenance, replaces)
                    features = self.compute(store, self.rows(store), path, provenance)
        if features.mel_store is None or not features.mel_store.exists():
            record_mel_store(path, store.path)  # it was moved
        return feature_labels.join(features, store, path)

    def _stored(self, path: Path, provenance: Mapping[str, Any]) -> FeatureStore | None:
        """Return the features at `path` if they are those of `provenance`, else None."""
        try:
            features = FeatureStore.read(path, any_axis=True)
        except (MissingArtifact, CorruptArtifact):
            return None
        return features if features.provenance.get("digest") == provenance["digest"] else None

    def _explain(self, path: Path, provenance: Mapping[str, Any], replaces: bool) -> None:
        """Say why features that are stored already are computed again.

        Raises:
            DigestMismatch: they have other options and must not be replaced.
        """
        try:
            existing = FeatureStore.read(path, any_axis=True)
        except MissingArtifact:
            return
        except CorruptArtifact as error:
            print(f"note: features are computed again: {error}", file=sys.stderr)
            return
        if not replaces:
            _require_same_options(existing.provenance, provenance, path)
        changed = ", ".join(_changed_keys(existing.provenance, provenance))
        print(f"note: {path} is computed again because of changes in {changed}", file=sys.stderr)

    def rows(self, store: MelStore) -> Sequence[ClipRow]:
        """Return the clips that have a mel.

        Raises:
            InvalidInput: no clip has a mel.
        """
        rows = store.rows.select(state="written").unpacked()
        if not rows:
            raise InvalidInput(f"no clip of {store.path} has a mel; its manifest states the reasons")
        return rows

    @abstractmethod
    def compute(
        self, store: MelStore, rows: Sequence[ClipRow], path: Path, provenance: Mapping[str, Any]
    ) -> FeatureStore:
        """Compute the features of `rows` in their order, write them to `path`, and return them."""

    def provenance(self, store: MelStore) -> dict[str, Any]:
        """Return the settings of store and representation, with their digest."""
        name = locations.dataset_of(store.path)
        source = {"store": name, "store_digest": store.digest(), "mel": store.value_settings()}
        settings = {"representation": self.name, **source, **self.settings}
        return {**settings, "digest": digest.digest(settings)}


@dataclass(frozen=True)
class FunctionRepresentation(Representation):
    """A representation that a function computes without an encoder."""

    function: FeatureFunction
    """Function that computes the features."""

    def compute(
        self, store: MelStore, rows: Sequence[ClipRow], path: Path, provenance: Mapping[str, Any]
    ) -> FeatureStore:
        """Compute the features of `rows` in their order, write them to `path`, and return them."""
        features = FeatureStore(self.function(store, rows), rows, provenance, mel_store=store.path)
        features.write(path)
        return features


def _require_same_options(stored: Mapping[str, Any], requested: Mapping[str, Any], path: Path) -> None:
    if any(stored.get(key) != requested.get(key) for key in _SOURCE_KEYS):
        return
    before, after = _options(stored), _options(requested)
    changes = [f"{key}: {before[key]} stored, {after[key]} requested" for key in after if before[key] != after[key]]
    if changes:
        raise DigestMismatch(
            f"{path} already holds features of the same encoder and mel with other options ({'; '.join(changes)}); "
            f"choose another path with --out, or remove the folder {path} to compute them again"
        )


def _options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an extraction that a user can choose, without software versions and hardware."""
    engine = provenance.get("engine") or {}
    return {
        "engine": engine.get("name"),
        "precision": provenance.get("precision"),
        "layer": engine.get("layer"),
        "hop": provenance.get("hop_frames"),
        "tail": provenance.get("tail"),
        "pool": provenance.get("pool"),
    }


def _changed_keys(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ between two provenances."""
    keys = [key for key in sorted({*stored, *current}) if stored.get(key) != current.get(key)]
    return [key for key in keys if key not in ("digest", "format_version")]
