"""Recordings that stand in two splits of a store under two names, found by the digest of their bytes.

A test score of a clip that was trained on means nothing. In the split of a user's table this is an error. A published
split is used as it was published, and its shared recordings are named in a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stores.errors import InvalidInput
from stores.labels import count_noun
from stores.manifest import ClipRows
from stores.mel_store import MelStore

USER_DATASETS = frozenset({"folder"})
"""Datasets whose splits the user states. The splits of all others are published, or made by this package."""
MAX_NAMED = 10
_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SharedRecording:
    """Clips of one recording in different splits, one clip for each split."""

    clips: tuple[tuple[str, str], ...]
    """Id and split of each clip."""

    def __str__(self) -> str:
        return " and ".join(f"{name!r} ({split or 'no split, so it is trained on'})" for name, split in self.clips)


def find(rows: ClipRows) -> list[SharedRecording]:
    """Return the recordings with stored clips in two splits. Clips without a split count as clips of train."""
    stored = rows.take(np.flatnonzero(rows.in_state("written") & _has_digest(rows)))
    splits = stored.column("split").to_numpy().astype(str)
    split_codes = sum((splits == split) * code for code, split in enumerate(_SPLITS))  # no split counts as train
    if len(np.unique(split_codes)) < 2:
        return []
    digest_codes = stored.column("source_digest").combine_chunks().dictionary_encode().indices.to_numpy()
    # the first clip of each recording in each split
    pairs, firsts = np.unique(digest_codes * len(_SPLITS) + split_codes, return_index=True)
    recordings = pairs // len(_SPLITS)
    is_shared = np.isin(recordings, recordings[1:][recordings[1:] == recordings[:-1]])
    ids = stored.take(firsts[is_shared]).column("id").to_pylist()
    clips = list(zip(ids, splits[firsts[is_shared]].tolist(), strict=True))
    parts = np.split(np.arange(len(clips)), np.flatnonzero(np.diff(recordings[is_shared])) + 1)
    return [SharedRecording(tuple(clips[i] for i in part)) for part in parts if len(part)]


def _has_digest(rows: ClipRows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(rows.column("source_digest").to_numpy() != "")


def is_error(store: MelStore) -> bool:
    """Return whether a shared recording is an error in this store, because a user stated the splits."""
    return store.attributes["dataset"] in USER_DATASETS


def warning_lines(shared: list[SharedRecording]) -> list[str]:
    """Return lines that count and name shared recordings. There are none if the list is empty."""
    if not shared:
        return []
    named = [f"    {recording}" for recording in shared[:MAX_NAMED]]
    more = [f"    ... and {len(shared) - MAX_NAMED} more"] if len(shared) > MAX_NAMED else []
    return [f"  warning: shared_recording: {count_noun(len(shared), 'recording')} in two splits:", *named, *more]


def require_separate(store: MelStore) -> list[str]:
    """Return warnings about recordings in two splits of a published split.

    Raises:
        InvalidInput: a recording is in two splits that a user stated. The message names both clips.
    """
    shared = find(store.rows)
    if not shared or not is_error(store):
        return warning_lines(shared)
    count, examples = count_noun(len(shared), "recording"), "; ".join(map(str, shared[:MAX_NAMED]))
    raise InvalidInput(
        f"{store.path}: {count} in two splits: {examples}. Give all copies of a recording the same split in the table "
        f"of --labels, or remove all but one, then start the same ingest again. It decodes nothing twice"
    )
