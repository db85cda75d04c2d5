"""The notes of a score, part by part, at sounding pitch. It takes 2 to 50 ms after the score is parsed.

Repeats are not expanded. Tied notes are merged. Grace notes and other notes without length are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from music21 import chord, key, note, stream

from pipeline.demo_corpus.rendering_settings import TICKS_PER_QUARTER


class Note(NamedTuple):
    """One sounding note of a part. Ticks count from the start of the score, or from the start of the excerpt."""

    start_ticks: int
    end_ticks: int
    pitch: int
    part: int = 0


@dataclass(frozen=True)
class ScorePart:
    """One part of a score at sounding pitch."""

    notes: tuple[Note, ...]
    """Notes at sounding pitch, sorted by start and pitch."""
    signatures: tuple[tuple[int, key.KeySignature], ...]
    """Pairs of start in ticks and key signature as written, sorted by start."""
    transposition_semitones: int
    """Semitones by which the part sounds higher than it is written."""

    def signatures_within(self, start_ticks: int, end_ticks: int) -> list[key.KeySignature]:
        """Return the signature in force at `start_ticks` and those that begin before `end_ticks`."""
        before = [signature for ticks, signature in self.signatures if ticks <= start_ticks]
        during = [signature for ticks, signature in self.signatures if start_ticks < ticks < end_ticks]
        return before[-1:] + during


def read_parts(score: stream.Score) -> list[ScorePart]:
    """Return the parts of a score at sounding pitch, with tied notes merged."""
    return [_read_part(part) for part in score.parts]


def _read_part(part: stream.Part) -> ScorePart:
    flat = part.flatten()
    instrument = part.getInstrument(returnDefault=False)
    interval = instrument.transposition if instrument is not None else None
    semitones = round(interval.semitones) if interval is not None else 0
    signatures = tuple((_ticks(signature.offset), signature) for signature in flat.getElementsByClass(key.KeySignature))
    return ScorePart(tuple(sorted(_merge_ties(flat, semitones))), signatures, semitones)


def _merge_ties(flat: stream.Stream, semitones: int) -> Iterator[Note]:
    """Yield the sounding notes of a flat part. Tied notes become one note from the first start to the last end."""
    tied: dict[int, Note] = {}
    for element in flat.notes:
        start, end = _ticks(element.offset), _ticks(element.offset + element.quarterLength)
        if end <= start:
            continue
        for written in element.notes if isinstance(element, chord.Chord) else (element,):
            if not isinstance(written, note.Note):
                continue
            pitch, tie = round(written.pitch.ps) + semitones, written.tie or element.tie
            sounding = Note(start, end, pitch)
            before = tied.pop(pitch, None)
            if before is not None and before.end_ticks == start and tie is not None and tie.type != "start":
                sounding = before._replace(end_ticks=end)
            elif before is not None:
                yield before
            if tie is not None and tie.type in ("start", "continue"):
                tied[pitch] = sounding
            else:
                yield sounding
    yield from tied.values()


def _ticks(quarters: float) -> int:
    return round(quarters * TICKS_PER_QUARTER)
