"""The first seconds of some clips as sound: decoded and cut as in the ingest, at the encoder's sample rate, as MP3.

The sound is what the encoder receives: mono, at the sample rate of the mel store. Only audio with the same digest as
in the ingest is used. Audio that is missing or has changed is counted and is not an error. Every clip is read and
encoded again for each page, but only its first seconds are decoded.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.page.map.coloring import ColorEncoding
from pipeline.audio import mp3, source
from pipeline.audio.attempt import StreamSettings
from pipeline.audio.cut import cut
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import decode_beginning, file_digest
from pipeline.audio.remote import AudioPath, audio_path
from stores.errors import DecodeError
from stores.manifest import ClipRow
from stores.mel_flags import resampler_name
from stores.mel_store import MelStore
from stores.progress import Progress

SECONDS = 5.0
"""Length of the sound of a clip."""
MAX_RECORDING_SECONDS, DECODE_SECONDS = 24 * 3600.0, 300.0
"""Longest recording that a clip is cut from, and the time limit of its decoding. The ingest has accepted it before."""


@dataclass(frozen=True)
class Sound:
    """Sound of clips on the map."""

    clips: Mapping[int, bytes]
    """MP3 file by index of the clip on the map."""
    rejected: Mapping[str, int]
    """Number of clips without sound by reason, one of `stores.errors.REJECTION_REASONS`."""

    @classmethod
    def read(cls, store: MelStore, rows: Sequence[ClipRow], chosen: Sequence[int]) -> Sound:
        """Read the audio of chosen clips.

        Args:
            store: mel store, which states where the audio is.
            rows: clips on the map.
            chosen: indices of the clips to read.
        """
        root = audio_path(store.attributes["root"])
        clips: dict[int, bytes] = {}
        rejected: Counter[str] = Counter()
        for clip in Progress(chosen, unit="clip", desc="sound", leave=False, disable=None if chosen else True):
            try:
                clips[int(clip)] = _first_seconds(root, rows[clip], store)
            except DecodeError as error:
                rejected[error.reason] += 1
        return cls(clips, dict(sorted(rejected.items())))

    def data_uris(self) -> dict[int, str]:
        """Return the sound of each clip as a data URI."""
        return {clip: f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}" for clip, data in self.clips.items()}


def spread(panel: Sequence[int], encoding: ColorEncoding | None, max_clips: int, seed: int = 0) -> list[int]:
    """Return the indices of at most `max_clips` clips, taken in turn from each class of each split.

    Args:
        panel: index of each clip's split.
        encoding: color encoding that defines the classes; None if there is none.
        max_clips: largest number of clips.
        seed: seed of the choice within a class.
    """
    strata: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for clip in np.random.default_rng(seed).permutation(len(panel)):
        classes = encoding.members[clip][:1] if encoding else ()
        strata.setdefault((int(panel[clip]), classes), []).append(int(clip))
    in_turn = [clip for turn in range(len(panel)) for _, clips in sorted(strata.items()) for clip in clips[turn:][:1]]
    return sorted(in_turn[:max_clips])


def _first_seconds(root: AudioPath, row: ClipRow, store: MelStore) -> bytes:
    """Return the first seconds of a clip as MP3.

    Raises:
        DecodeError: the audio is missing, has changed, or cannot be decoded.
    """
    rate_hz, resampler = store.spec.sample_rate_hz, resampler_name(store.attributes.get("preprocessing", {}))
    seconds = min(SECONDS, row.cut_seconds or SECONDS)
    with source.open_audio(root / row.source, row.member) as path:
        if file_digest(path) != row.source_digest:
            raise DecodeError("changed", f"{row.source} has changed since the mel store was made")
        settings = StreamSettings(rate_hz, MAX_RECORDING_SECONDS, resampler, transpositions=(row.semitones,))
        samples = decode_beginning(path, row.cut_start_seconds + seconds, settings, Deadline(DECODE_SECONDS))
    samples = cut(samples, rate_hz, row.cut_start_seconds, seconds)
    if not len(samples):
        raise DecodeError("too_short", f"{row.source} ends before the clip begins")
    return mp3.encode(samples, rate_hz)
