"""The notes of a score, part by part, as they sound: 2 to 50 ms after the parse.

Repeats are not expanded, ties are merged, grace notes and other notes without length are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from music21 import chord, key, note, stream

from pipeline.demo_corpus.rendering_settings import TICKS_PER_QUARTER


class Note(NamedTuple):
    """One sounding note; ticks count from the start of the score, or of the excerpt."""

    start_ticks: int
    end_ticks: int
    pitch: int


@dataclass(frozen=True)
class ScorePart:
    """One part of a score as it sounds."""

    notes: tuple[Note, ...]
    """By start and pitch."""
    signatures: tuple[tuple[int, key.KeySignature], ...]
    """Start in ticks and key signature, by start."""
    transposition_semitones: int
    """How much higher it sounds than it is written; `signatures` are as written, `notes` as they sound."""

    def signatures_within(self, start_ticks: int, end_ticks: int) -> list[key.KeySignature]:
        """The signature in force at the start and those that come before the end."""
        before = [signature for ticks, signature in self.signatures if ticks <= start_ticks]
        during = [signature for ticks, signature in self.signatures if start_ticks < ticks < end_ticks]
        return before[-1:] + during


def read_parts(score: stream.Score) -> list[ScorePart]:
    """The parts of a score as they sound, ties merged."""
    return [_read_part(part) for part in score.parts]


def _read_part(part: stream.Part) -> ScorePart:
    flat = part.flatten()
    instrument = part.getInstrument(returnDefault=False)
    interval = instrument.transposition if instrument is not None else None
    semitones = round(interval.semitones) if interval is not None else 0
    signatures = tuple((_ticks(each.offset), each) for each in flat.getElementsByClass(key.KeySignature))
    return ScorePart(tuple(sorted(_merged(flat, semitones))), signatures, semitones)


def _merged(flat: stream.Stream, semitones: int) -> Iterator[Note]:
    """Sounding notes of a flat part; a tied note is one note from its first start to its last end."""
    tied: dict[int, Note] = {}
    for element in flat.notes:
        start, end = _ticks(element.offset), _ticks(element.offset + element.quarterLength)
        if end <= start:
            continue
        for each in element.notes if isinstance(element, chord.Chord) else (element,):
            if not isinstance(each, note.Note):
                continue
            pitch, tie = round(each.pitch.ps) + semitones, each.tie or element.tie
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
