"""The digest of the labels, splits and groups that scores were computed with, which tells whether they are current."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from model.probes.labeled_clips import SPLITS
from model.probes.task import label_names
from stores import features, locations
from stores.errors import MynaError
from stores.manifest import ClipRow, ClipRows
from stores.mel_store import MelStore


def label_digest(rows: Iterable[ClipRow], task: str) -> str:
    """Return the BLAKE2b-128 (hex) of id, split, group and labels of the clips of a task, whatever their order is."""
    names, lines = label_names(task), []
    for table in ClipRows.of(rows).batches(["id", "split", "group", "labels"]):
        for id_, split, group, pairs in zip(*(column.to_pylist() for column in table.columns), strict=True):
            labels = dict(pairs)
            if split in SPLITS and set(names) <= set(labels):
                lines.append("\0".join((id_, split, group, *(labels[name] for name in names))))
    return hashlib.blake2b("\0\0".join(sorted(lines)).encode(), digest_size=16).hexdigest()


def have_changed(labels: str, task: str, dataset: str, run: str) -> bool:
    """Return whether the labels of a task in the mel store differ from those of the digest `labels`.

    Without a digest, as in older files, and without a mel store, nothing is known to have changed.
    """
    if not labels:
        return False
    try:
        recorded = features.read_mel_store(locations.feature_store(dataset, run))
        store = MelStore.open(recorded or locations.mel_store(dataset))
    except MynaError:
        return False
    return label_digest(store.rows.select(state="written"), task) != labels
