"""The vector of a query: a clip of the collection, another audio file, or a moment of either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder import hub_models, weights
from model.encoder.vit import Encoder
from model.inference.myna import Myna
from model.similarity.collection import Collection, album_of
from model.similarity.exact import unit_rows
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.locations import FoundCheckpoint
from stores.manifest import ClipRow


@dataclass(frozen=True)
class Query:
    """A vector to search with."""

    name: str
    """Id of the clip, or path of the file."""
    vector: NDArray[np.float32]
    """Unit vector `[D]`."""
    clip: ClipRow | None
    """The clip; None for another file."""
    position: int | None
    """Position of the clip in the collection; None for another file."""
    is_moment: bool
    """True if the vector is that of a window, and not of a whole recording."""

    @property
    def album(self) -> str:
        """Album of the clip; empty for another file."""
        return album_of(self.clip) if self.clip else ""


def parse_time(text: str) -> float:
    """Return a time such as `83`, `1:23.5` or `1:02:03` in seconds.

    Raises:
        InvalidInput: it is no such time.
    """
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < 1e6 for part in parts) or any(part >= 60 for part in parts[1:]):
        raise InvalidInput(f"--at must be a time such as 1:23 or 83 (got {text})")
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def resolve(collection: Collection, word: str, at: str | None = None, checkpoint: str | None = None) -> Query:
    """Return the query that a word means.

    Args:
        collection: the collection.
        word: id, path or file name of a clip, or path of another audio file.
        at: moment in the recording as text; None for the whole recording.
        checkpoint: encoder for a recording whose vector is not in the collection.

    Raises:
        MissingArtifact: the word means nothing, or no encoder is found.
        InvalidInput: the moment is after the end, or the collection does not state which encoder made it.
        DigestMismatch: the encoder is not that of the collection.
        DecodeError: the audio cannot be decoded.
    """
    seconds = None if at is None else parse_time(at)
    position = collection.position(word)
    if position is None:
        if not Path(word).is_file():
            raise collection.unknown(word)
        vector = _embed(collection, Path(word), seconds, checkpoint)
        return Query(word, vector, None, None, seconds is not None)
    clip = collection.clips[position]
    if seconds is None:
        return Query(clip.id, collection.vectors[position], clip, position, False)
    if collection.has_windows:
        return Query(clip.id, _stored_window(collection, position, seconds), clip, position, True)
    path = collection.audio_path(clip)
    if path is None or not path.is_file():
        raise InvalidInput(
            f"the moments of {clip.id} are not in {collection.path}, and its audio is not there; extract with "
            "--pool none"
        )
    vector = _embed(collection, path, clip.cut_start_seconds + seconds, checkpoint)
    return Query(clip.id, vector, clip, position, True)


def _stored_window(collection: Collection, position: int, seconds: float) -> NDArray[np.float32]:
    """Return the vector of the window of a clip in which a moment lies, or which begins last before it, `[D]`."""
    spans, clip = collection.features.spans, collection.clips[position]
    rows = np.flatnonzero(spans.clip == position)
    _require_within(clip.id, seconds, _seconds(collection, clip))
    row = int(rows[spans.start_seconds[rows] <= seconds][-1])
    vector: NDArray[np.float32] = collection.windows[row]
    return vector


def _seconds(collection: Collection, clip: ClipRow) -> float:
    assert collection.store is not None or clip.frames == 0
    return collection.store.spec.seconds_for(clip.frames) if collection.store else np.inf


def _require_within(name: str, seconds: float, length: float) -> None:
    if seconds > length:
        raise InvalidInput(f"--at {seconds:g} s is after the end of {name}, which lasts {length:.0f} s")


def _embed(collection: Collection, path: Path, seconds: float | None, checkpoint: str | None) -> NDArray[np.float32]:
    """Return the unit vector `[D]` of a file or of its window at a moment, made as those of the collection."""
    provenance = collection.features.provenance
    myna = _encoder(collection, checkpoint)
    options: dict[str, Any] = {name: provenance.get(name) for name in ("hop_frames", "tail", "window_frames", "compat")}
    options = {name: value for name, value in options.items() if value is not None}
    pool = "mean" if seconds is None and not collection.has_windows else "none"
    embeddings = np.atleast_2d(myna.embed(path, pool=pool, **options))
    if seconds is not None:
        hop = options.get("hop_frames") or myna.encoder.config.window_frames
        hop_seconds = hop * myna.mel_spec.hop_samples / myna.mel_spec.sample_rate_hz
        _require_within(str(path), seconds, (len(embeddings) + 1) * hop_seconds)
        embeddings = embeddings[min(int(seconds / hop_seconds), len(embeddings) - 1)][None]
    return mean_direction(embeddings)


def mean_direction(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the unit vector `[D]` of a recording, whose embeddings `[rows, D]` count equally, as in a collection."""
    vector: NDArray[np.float32] = unit_rows(unit_rows(embeddings).mean(axis=0, keepdims=True))[0]
    return vector


def _encoder(collection: Collection, checkpoint: str | None) -> Myna:
    used = find_encoder(collection, checkpoint)
    myna = Myna.from_pretrained(used.path)
    require_encoder_of(collection, myna.encoder, used)
    return myna


def find_encoder(collection: Collection, checkpoint: str | None) -> FoundCheckpoint:
    """Return the checkpoint whose encoder made a collection: the stated one, its run, or the default encoder.

    Raises:
        InvalidInput: the collection does not state an encoder that can embed another file.
        MissingArtifact: there is no such checkpoint.
    """
    provenance = collection.features.provenance
    if "weights" not in provenance or (provenance.get("engine") or {}).get("layer"):
        raise InvalidInput(
            f"{collection.path} does not state an encoder that can embed another file; use the id of a clip as QUERY"
        )
    try:
        return hub_models.find_checkpoint(checkpoint or _run_of(collection))
    except MissingArtifact:
        if checkpoint is not None:
            raise
        return hub_models.find_checkpoint(None)


def require_encoder_of(collection: Collection, encoder: Encoder, checkpoint: FoundCheckpoint) -> None:
    """Check that an encoder made a collection.

    Raises:
        DigestMismatch: another one made it.
    """
    if weights.digest(encoder) != collection.features.provenance["weights"]:
        raise DigestMismatch(
            f"{checkpoint} is not the encoder that made {collection.path} ({_run_of(collection)}); state that one with "
            "--checkpoint"
        )


def _run_of(collection: Collection) -> str:
    return str(collection.features.provenance.get("representation", "")).removesuffix("-windows")
