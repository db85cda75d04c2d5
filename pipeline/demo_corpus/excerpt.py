"""Ten seconds of notes cut out of a score, with their key and with the melody of the whole piece.

Notes are cut before anything is rendered. Nearly all of the time is spent on parsing the score.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.demo_corpus import keys
from pipeline.demo_corpus.catalog import Piece, open_score
from pipeline.demo_corpus.parts import Note, ScorePart, read_parts
from pipeline.demo_corpus.rendering_settings import (
    CLIP_TICKS,
    MAX_PITCH,
    MIN_PITCH,
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
)
from stores.commit import write_bytes
from stores.json_codec import parse_json

MIN_SOUNDING_TICKS = CLIP_TICKS * 8 // 10
"""Time with a sounding note that an excerpt needs: 8 of the 10 seconds."""
VARIED = -1
"""In place of a program: the clips of the piece have performances of their own."""
_MAX_ATTEMPTS = 8  # start positions that are tried in a piece before it is left out


@dataclass(frozen=True)
class Excerpt:
    """The stored data of a piece: what is needed to render it and to recognize duplicates and shared melodies."""

    notes: tuple[Note, ...]
    """Notes of all parts, sorted by start. Ticks count from the start of the excerpt."""
    program: int
    """General MIDI program, or `VARIED`."""
    key: str
    """Key such as `Gb minor`, or an empty string."""
    key_reason: str
    """Reason why there is no key, or an empty string."""
    melody_semitones: tuple[int, ...]
    """Intervals of the top part of the whole piece, without repeated notes. Transposition does not change them."""
    content: str
    """Digest of all notes of the whole piece relative to the first note. Transposition does not change it."""
    refusal: str = ""
    """Reason why the piece cannot be used, or an empty string."""

    def save(self, path: Path) -> None:
        """Write the excerpt as JSON, atomically."""
        write_bytes(path, json.dumps(asdict(self), separators=(",", ":")).encode())


def load_excerpt(path: Path) -> Excerpt:
    """Read an excerpt that `Excerpt.save` wrote."""
    fields = parse_json(path.read_bytes())
    fields["notes"] = tuple(Note(*values) for values in fields["notes"])
    fields["melody_semitones"] = tuple(fields["melody_semitones"])
    return Excerpt(**fields)


def cut_excerpt(piece: Piece, settings: RenderingSettings) -> Excerpt:
    """Parse a piece and cut its excerpt, which depends only on the piece and the settings.

    Returns:
        The excerpt. Its `refusal` is set if the piece is too short or leaves the range of the piano when transposed.
    """
    parts = read_parts(open_score(piece))
    piece_notes = sorted(_notes(parts, settings.varied))
    start_ticks = _start(piece_notes, settings, piece)
    notes = excerpt_notes(piece_notes, start_ticks, settings.excerpt_ticks) if start_ticks is not None else ()
    verdict = _key(parts, start_ticks or 0, piece_notes, piece, settings.excerpt_ticks)
    return Excerpt(
        notes=notes,
        program=VARIED if settings.varied else settings.random_for(piece.name, "program").choice(settings.programs),
        key=verdict.label,
        key_reason=verdict.reason,
        melody_semitones=_melody(parts[0].notes) if parts else (),
        content=_content(piece_notes),
        refusal=_refusal(notes),
    )


def excerpt_notes(notes: Sequence[Note], start_ticks: int, length_ticks: int = CLIP_TICKS) -> tuple[Note, ...]:
    """Return the notes that start within `length_ticks` from `start_ticks`.

    Notes that sound longer end with the excerpt. Notes of a part with the same start and pitch are merged into the
    longest one.
    """
    latest_ends: dict[tuple[int, int, int], int] = {}
    for note in notes:
        start, end = note.start_ticks - start_ticks, min(note.end_ticks - start_ticks, length_ticks)
        if 0 <= start < length_ticks:
            key = start, note.pitch, note.part
            latest_ends[key] = max(end, latest_ends.get(key, 0))
    return tuple(Note(start, end, pitch, part) for (start, pitch, part), end in sorted(latest_ends.items()))


def _notes(parts: Sequence[ScorePart], varied: bool) -> Iterator[Note]:
    """Yield the notes of all parts. Without varied performances, all parts are one.

    On a keyboard, two parts in unison press the same key. Two notes would only be louder.
    """
    for number, part in enumerate(parts):
        yield from (note._replace(part=number if varied else 0) for note in part.notes)


def sounding_ticks(notes: Iterable[Note]) -> int:
    """Return the time in ticks during which at least one note sounds. `notes` must be sorted by start."""
    total, reached = 0, 0
    for note in notes:
        total += max(0, note.end_ticks - max(note.start_ticks, reached))
        reached = max(reached, note.end_ticks)
    return total


def _start(notes: Sequence[Note], settings: RenderingSettings, piece: Piece) -> int | None:
    """Return a random onset with ten seconds of music after it, or None if all attempts have too little sound.

    If no onset has ten seconds of music after it, only the first onset is tried.
    """
    if not notes:
        return None
    length = settings.excerpt_ticks
    latest = max(note.end_ticks for note in notes) - length
    onsets = sorted({note.start_ticks for note in notes if note.start_ticks <= latest}) or [notes[0].start_ticks]
    starts = settings.random_for(piece.name, "start").sample(onsets, min(_MAX_ATTEMPTS, len(onsets)))
    enough = MIN_SOUNDING_TICKS * length // CLIP_TICKS
    return next((start for start in starts if sounding_ticks(excerpt_notes(notes, start, length)) >= enough), None)


def _key(
    parts: Sequence[ScorePart], start_ticks: int, piece_notes: Sequence[Note], piece: Piece, length_ticks: int
) -> keys.KeyVerdict:
    """Return the key that the parts state in the excerpt, if the notes of the whole piece confirm it.

    The whole piece is analyzed, because an analysis of the excerpt alone would keep only excerpts with a key that
    follows from a histogram of pitch classes.
    """
    if piece.modal:
        return keys.KeyVerdict("", keys.MODAL)
    end_ticks = start_ticks + length_ticks
    verdict = keys.stated_key(
        (part.signatures_within(start_ticks, end_ticks), part.transposition_semitones) for part in parts
    )
    durations = [0.0] * 12
    for note in piece_notes:
        durations[note.pitch % 12] += note.end_ticks - note.start_ticks
    return keys.confirm_key(verdict, durations)


def _refusal(notes: Sequence[Note]) -> str:
    if not notes:
        return "too short or too silent"
    lowest = min(note.pitch for note in notes) + TRANSPOSITIONS_SEMITONES[0]
    highest = max(note.pitch for note in notes) + TRANSPOSITIONS_SEMITONES[-1]
    return "" if lowest >= MIN_PITCH and highest <= MAX_PITCH else "leaves the piano's range"


def _melody(notes: Sequence[Note]) -> tuple[int, ...]:
    """Return the intervals between the highest notes of successive onsets.

    Repeated notes are left out, because variants of a melody often differ in them.
    """
    highest = {note.start_ticks: note.pitch for note in notes}  # notes are sorted by pitch too, so the highest is last
    pitches = list(highest.values())
    return tuple(after - before for before, after in itertools.pairwise(pitches) if after != before)


def _content(notes: Sequence[Note]) -> str:
    first = notes[0] if notes else Note(0, 0, 0)
    origin = first.start_ticks
    relative = [(note.start_ticks - origin, note.end_ticks - origin, note.pitch - first.pitch) for note in notes]
    return hashlib.sha256(repr(relative).encode()).hexdigest()[:16]
