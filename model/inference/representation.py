"""A representation: a named way from a mel store to features, made once and kept in a feature store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import digest, locations
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.mel_store import MelStore

_SOURCE = ("store_digest", "mel", "encoder", "weights")
Features = Callable[[MelStore, Sequence[ClipRow]], NDArray[np.float32]]


@dataclass(frozen=True)
class Representation:
    """How to make the features, and what they depend on."""

    name: str
    """Part of the feature store's name: a run's name, or a baseline's."""
    settings: dict[str, Any]
    """All that can change a value, JSON."""
    features: Features
    """From a store and its rows to `[clips, D]`."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """How the recordings that the encoder heard became mel; empty where nothing was heard."""

    def path(self, dataset: str) -> Path:
        """Where its features of `dataset` lie."""
        return locations.feature_store(dataset, self.name)

    def extract(self, store: MelStore, path: Path, *, replaces: bool = True) -> FeatureStore:
        """The features of every clip with a mel; read from `path` if they were made of the same store and settings.

        Args:
            store: whose clips.
            path: where the features lie or will lie.
            replaces: whether finished features of the same encoder and mel give way where only the engine, its
                precision or the windows are others; those of another encoder or mel always do, and it is told.

        Raises:
            InvalidInput: the store has no clip with a mel, or an embedding is not finite.
            DigestMismatch: its mel is not what the encoder heard (another decoder or quantiser is only told); or
                the features were begun, or are finished and not to be replaced, with other settings.
        """
        provenance = self.provenance(store)
        for difference in digest.diff_settings(self.trained_on, store.value_settings()):
            print(f"note: {self.name} heard other mel than {store.path} holds: {difference}", file=sys.stderr)
        try:
            existing = FeatureStore.read(path)
            if existing.provenance.get("digest") == provenance["digest"]:
                return existing
            if not replaces:
                _require_same_way(existing.provenance, provenance, path)
            print(f"note: {path} is made again: {_differing(existing.provenance, provenance)}", file=sys.stderr)
        except (MissingArtifact, CorruptArtifact):
            pass  # nothing there to take: it is made below
        return self.make(store, self.rows(store), path, provenance)

    def rows(self, store: MelStore) -> list[ClipRow]:
        """The clips that have a mel.

        Raises:
            InvalidInput: none has.
        """
        rows = [row for row in store.rows if row.state == "written"]
        if not rows:
            raise InvalidInput(f"no clip of {store.path} has a mel; see its manifest for the reasons")
        return rows

    def make(self, store: MelStore, rows: Sequence[ClipRow], path: Path, provenance: Mapping[str, Any]) -> FeatureStore:
        """The features of `rows`, in their order, written to `path`."""
        made = FeatureStore(self.features(store, rows), rows, provenance)
        made.write(path)
        return made

    def provenance(self, store: MelStore) -> dict[str, Any]:
        """What the features are made of, and its digest."""
        source = {"store": store.path.stem, "store_digest": store.digest(), "mel": store.value_settings()}
        facts = {"representation": self.name, **source, **self.settings}
        return {**facts, "digest": digest.digest(facts)}


def _require_same_way(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    if any(then.get(key) != now.get(key) for key in _SOURCE):
        return
    before, asked = _way(then), _way(now)
    if differing := [
        f"{key}: {before[key]} there, {asked[key]} asked for" for key in asked if before[key] != asked[key]
    ]:
        raise DigestMismatch(
            f"{path} is finished, of the same encoder and mel but made otherwise ({'; '.join(differing)}): name "
            f"another place with --out, or remove the folder {path} to make it anew"
        )


def _way(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What one may ask for of how an encoder embeds; not what the machine brings, its versions and the like."""
    engine = provenance.get("engine") or {}
    windows = {name: provenance.get(key) for name, key in (("hop", "hop_frames"), ("tail", "tail"), ("pool", "pool"))}
    return {
        "engine": engine.get("name"),
        "precision": provenance.get("precision"),
        "layer": engine.get("layer"),
        **windows,
    }


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which facts of two provenances differ, by name."""
    keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    return ", ".join(key for key in keys if key not in ("digest", "format_version")) + " differ"
