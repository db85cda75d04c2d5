"""Labels, splits and groups of the clips of a feature store, which are joined from the mel store when they are used.

A feature store keeps ids, recordings and digests only. Labels, splits and groups that an ingest changes therefore take
effect without a new extraction. Features of audio or mels that have changed are stale, which is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stores import manifest
from stores.errors import DigestMismatch, MissingArtifact
from stores.features import FeatureStore, repeat_clips
from stores.labels import count_noun
from stores.manifest import ClipRows
from stores.mel_store import MelStore


def join(features: FeatureStore, store: MelStore, path: Path) -> FeatureStore:
    """Return `features` with the rows of the manifest of `store`, which are found by the ids of the clips.

    Args:
        features: the features, as read from disk or as computed.
        store: mel store of the clips.
        path: path of the features, for the error.

    Raises:
        DigestMismatch: the features are stale. The message says what has changed in the mel store.
    """
    if changes := describe_changes(features, store):
        raise DigestMismatch(
            f"{path} is stale, because {store.path} has changed since: {changes}; run `python -m model.extract "
            f"{store.path}` again"
        )
    clips = store.rows.take(_positions(features, store))
    return replace(features, rows=repeat_clips(clips, features.spans), mel_store=store.path)


def open_mel_store(features: FeatureStore, path: Path) -> MelStore:
    """Open the mel store that the features at `path` record.

    Raises:
        MissingArtifact: there is no mel store at the recorded path.
        CorruptArtifact: the mel store is damaged.
    """
    recorded = features.mel_store
    if recorded is None or not recorded.is_dir():
        place = f"at {recorded}, which {path} records" if recorded else f"recorded in {path}"
        raise MissingArtifact(f"labels are read from a mel store, and none is {place}; state its path with --store")
    return MelStore.open(recorded)


def describe_changes(features: FeatureStore, store: MelStore) -> str:
    """Return what has changed in the mel store since the features were computed, or empty text if nothing has.

    Labels, splits and groups do not count.
    """
    provenance = features.provenance
    if "store_digest" in provenance and provenance["store_digest"] == store.digest():
        return ""
    changes = _changed_settings(provenance.get("mel"), store.value_settings()) + _changed_clips(features, store)
    if not changes and provenance.get("store_digest"):
        changes = ["its list of clips"]
    return ", ".join(changes)


def _changed_settings(before: Any, after: Mapping[str, Any]) -> list[str]:
    if not isinstance(before, Mapping):
        return []
    return [key for key in after if before.get(key) != after[key]]


def _changed_clips(features: FeatureStore, store: MelStore) -> list[str]:
    """Return what has changed in the clips, each kind with its number of clips and an example."""
    positions = _positions(features, store)
    written = store.rows.in_state("written")
    gone = (positions < 0) | ~written[positions]
    before = ClipRows.of(features.clips)
    after = store.rows.take(np.where(positions < 0, 0, positions)) if len(store.rows) else before
    other = np.zeros(len(before), bool)
    for name in ("source_digest", "codes_digest"):
        other |= before.column(name).to_numpy() != after.column(name).to_numpy()
    new = written.copy()
    new[positions[positions >= 0]] = False
    kinds = [
        (before, gone, "whose mel is gone"),
        (before, other & ~gone, "whose audio or mel has changed"),
        (store.rows, new if features.provenance.get("store_digest") else new & False, "that was added"),
    ]
    return [
        f"{count_noun(int(chosen.sum()), 'clip')} {what}, e.g. {rows[int(chosen.argmax())].id!r}"
        for rows, chosen, what in kinds
        if chosen.any()
    ]


def _positions(features: FeatureStore, store: MelStore) -> Any:
    return store.rows.index_of(manifest.values_of(features.clips, "id"))
