"""Pairs of audio and text: the embeddings of both for each clip that has both, with splits and groups.

Axes: N pair, A width of the audio, T width of the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.alignment import text_table
from model.alignment.adapters import AUDIO, TEXT
from model.alignment.config import AlignSettings
from model.inference.external_embeddings import ExternalEmbeddings
from stores import feature_labels, locations
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.mel_store import MelStore


@dataclass(frozen=True)
class Pairs:
    """The clips that have a text."""

    ids: tuple[str, ...]
    """Id of each clip."""
    audio: NDArray[np.float32]
    """Embedding of each clip, `[N, A]`."""
    text: NDArray[np.float32]
    """Embedding of the text of each clip, `[N, T]`."""
    splits: tuple[str, ...]
    """Split of each clip."""
    groups: tuple[str, ...]
    """Group of each clip, which is resampled as a whole."""
    audio_provenance: Mapping[str, Any]
    """Provenance of the embeddings of the audio."""
    text_provenance: Mapping[str, Any]
    """Provenance of the embeddings of the text."""
    meanings: tuple[str, ...] = ()
    """Meaning of the text of each clip, empty text if it is not stated; nothing if no text has one."""

    def __len__(self) -> int:
        return len(self.ids)

    def of_split(self, split: str) -> Pairs:
        """Return the pairs of a split.

        Raises:
            InvalidInput: the split has fewer than two pairs.
        """
        rows = [row for row, name in enumerate(self.splits) if name == split]
        if len(rows) < 2:
            raise InvalidInput(
                f"the split {split} has {len(rows)} pairs, and at least 2 are needed; ingest the clips with splits, "
                "and give their texts the ids of the clips"
            )
        ids, splits, groups = (tuple(values[row] for row in rows) for values in (self.ids, self.splits, self.groups))
        meanings = tuple(self.meanings[row] for row in rows) if self.meanings else ()
        chosen = replace(self, ids=ids, splits=splits, groups=groups, meanings=meanings)
        return replace(chosen, audio=self.audio[rows], text=self.text[rows])

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the ids with the embeddings of each modality."""
        return {name: _digest(self.ids, rows) for name, rows in ((AUDIO, self.audio), (TEXT, self.text))}

    @property
    def group_numbers(self) -> NDArray[np.int64]:
        """Group of each pair, numbered from 0, `[N]`."""
        return np.unique(self.groups, return_inverse=True)[1].astype(np.int64)

    @property
    def text_numbers(self) -> NDArray[np.int64]:
        """Number of the text of each pair, `[N]`; equal texts have equal numbers."""
        return np.unique(self.text, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @property
    def meaning_numbers(self) -> NDArray[np.int64]:
        """Number of the meaning of each text, `[N]`. Texts without a stated meaning mean the same if they are equal."""
        meanings = self.meanings or ("",) * len(self)
        texts = zip(meanings, self.text_numbers.tolist(), strict=True)
        keys = [(meaning, -1) if meaning else ("", number) for meaning, number in texts]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], np.int64)


def read(settings: AlignSettings) -> Pairs:
    """Return the pairs of the features and texts that the settings name. Clips without a text are left out.

    Raises:
        MissingArtifact: the features, the texts or the mel store are missing.
        InvalidInput: the features have several embeddings for a clip, or no clip has a text.
        DigestMismatch: the features are stale.
        CorruptArtifact: a file is damaged.
    """
    texts = text_table.read(settings.text, settings.text_encoder)
    return join(read_audio(settings.audio, settings.store), texts, text_table.read_meanings(settings.text))


def read_audio(path: Path, store: str | None = None) -> FeatureStore:
    """Return a feature store with one embedding for each clip, with the splits and groups of its mel store."""
    features = FeatureStore.read(path)
    if len(features.rows) > len(features.clips):
        raise InvalidInput(
            f"{path} has several embeddings for a clip, and an alignment needs one; extract without --pool none"
        )
    mels = MelStore.open(locations.store_path(store)) if store else feature_labels.open_mel_store(features, path)
    return feature_labels.join(features, mels, path)


def join(audio: FeatureStore, text: ExternalEmbeddings, meanings: Mapping[str, str] | None = None) -> Pairs:
    """Return the clips that have a text, in the order of the clips.

    Args:
        audio: embeddings of the clips.
        text: embeddings of the texts.
        meanings: meaning of the text of each clip that states one, by its id.

    Raises:
        InvalidInput: no clip has a text.
    """
    positions = {name: position for position, name in enumerate(text.ids)}
    rows = [row for row, clip in enumerate(audio.rows) if clip.id in positions]
    if not rows:
        raise InvalidInput(
            f"none of the {len(audio.rows)} clips has a text; the texts must have the ids of the clips, e.g. "
            f"{audio.rows[0].id!r} (they have {text.ids[0]!r})"
        )
    clips = [audio.rows[row] for row in rows]
    return Pairs(
        ids=tuple(clip.id for clip in clips),
        audio=audio.embeddings[rows],
        text=text.embeddings[[positions[clip.id] for clip in clips]],
        splits=tuple(clip.split for clip in clips),
        groups=tuple(clip.group or clip.id for clip in clips),
        audio_provenance=audio.provenance,
        text_provenance=text.provenance,
        meanings=tuple(meanings.get(clip.id, "") for clip in clips) if meanings else (),
    )


def _digest(ids: Sequence[str], rows: NDArray[np.float32]) -> str:
    hasher = hashlib.blake2b("\0".join(ids).encode(), digest_size=8)
    hasher.update(np.ascontiguousarray(rows).data)
    return hasher.hexdigest()
