"""The start of some clips as sound: decoded and cut as the ingest did, at the encoder's rate, written as MP3.

What is heard is what the encoder hears: mono at the rate of the mel store. Only audio whose bytes are those that the
store's mel was made of is taken; what is gone or another now is counted, never an error. Each clip is read and encoded
again every time: 0.15 s for one of ten seconds.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.page.map.coloring import ColorEncoding
from pipeline.audio import mp3, source
from pipeline.audio.cut import cut
from pipeline.audio.decode import decode, file_digest
from stores.errors import DecodeError
from stores.manifest import ClipRow
from stores.mel_store import MelStore

CLIPS = 200
SECONDS = 5.0
LONGEST_SECONDS, LIMIT_SECONDS = 24 * 3600.0, 300.0
"""Of a recording that a clip is cut from, and to decode it; the ingest has accepted it before."""


@dataclass(frozen=True)
class Sound:
    """What can be heard."""

    clips: Mapping[int, bytes]
    """Place on the map to an MP3 file."""
    refused: Mapping[str, int]
    """Clips that cannot be heard by reason, one of `stores.errors.REJECTION_REASONS`."""

    @classmethod
    def of(cls, store: MelStore, rows: Sequence[ClipRow], chosen: Sequence[int]) -> Sound:
        """Read the audio of the `chosen` ones of `rows`.

        Args:
            store: which says where the audio lies.
            rows: of the clips on the map.
            chosen: places of those that are wanted.
        """
        root, rate_hz = Path(store.attributes["root"]), store.spec.sample_rate_hz
        found: dict[int, bytes] = {}
        refused: Counter[str] = Counter()
        for clip in tqdm(chosen, unit="clip", desc="sound", leave=False, disable=None if chosen else True):
            try:
                found[int(clip)] = _heard(root, rows[clip], rate_hz)
            except DecodeError as refusal:
                refused[refusal.reason] += 1
        return cls(found, dict(sorted(refused.items())))

    def data_uris(self) -> dict[int, str]:
        """Each clip as what an audio element in a page plays."""
        return {clip: f"data:audio/mpeg;base64,{base64.b64encode(one).decode()}" for clip, one in self.clips.items()}


def spread(panel: Sequence[int], colouring: ColorEncoding | None, most: int, seed: int = 0) -> list[int]:
    """Places of at most `most` clips, in turn from each class of each split.

    Args:
        panel: number of each clip's split.
        colouring: whose classes.
        most: clips in all.
        seed: decides which of a class.
    """
    strata: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for clip in np.random.default_rng(seed).permutation(len(panel)):
        classes = colouring.members[clip][:1] if colouring else ()
        strata.setdefault((int(panel[clip]), classes), []).append(int(clip))
    in_turn = [clip for turn in range(len(panel)) for _, clips in sorted(strata.items()) for clip in clips[turn:][:1]]
    return sorted(in_turn[:most])


def _heard(root: Path, row: ClipRow, rate_hz: int) -> bytes:
    """The first seconds of a clip as MP3.

    Raises:
        DecodeError: its audio is gone, another one now, or cannot be decoded.
    """
    seconds = min(SECONDS, row.cut_seconds or SECONDS)
    with source.opened(root / row.source, row.member) as path:
        if file_digest(path) != row.source_digest:
            raise DecodeError("changed", f"{row.source} is not the audio that the store's mel was made of")
        audio = decode(path, rate_hz, LONGEST_SECONDS, LIMIT_SECONDS, keep_seconds=row.cut_start_seconds + seconds)
    samples = cut(audio.samples, rate_hz, row.cut_start_seconds, seconds)
    if not len(samples):
        raise DecodeError("too_short", f"{row.source} ends before the clip begins")
    return mp3.encode(samples, rate_hz)
