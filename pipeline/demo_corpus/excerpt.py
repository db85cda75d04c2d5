"""Ten seconds of notes cut out of a score, with the key they are in and the whole piece's melody.

Cutting happens on notes, before anything is rendered; nearly all of its time is the parse.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.demo_corpus import keys
from pipeline.demo_corpus.catalog import Piece, open_score
from pipeline.demo_corpus.parts import Note, ScorePart, read_parts
from pipeline.demo_corpus.rendering_settings import (
    CLIP_TICKS,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
)
from stores.commit import write_bytes

LEAST_SOUND_TICKS = CLIP_TICKS * 8 // 10
"""At least 8 of the 10 seconds must hold a sounding note."""
_ATTEMPTS = 8  # places that are tried in a piece before it is given up


@dataclass(frozen=True)
class Excerpt:
    """What is kept of a piece: enough to render it and to tell whether it is another piece's twin."""

    notes: tuple[Note, ...]
    """All parts together, by start, ticks from the start of the excerpt."""
    program: int
    """General MIDI program."""
    key: str
    """Such as `Gb minor`, or empty."""
    key_reason: str
    """Why there is no key, or empty."""
    melody_semitones: tuple[int, ...]
    """Steps of the whole top part, without repeated notes; transposition does not change them."""
    content: str
    """Digest of all notes of the whole piece relative to its first; the same for transposed copies."""
    refusal: str = ""
    """Why the piece cannot be used, or empty."""

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        write_bytes(path, json.dumps(asdict(self), separators=(",", ":")).encode())


def load(path: Path) -> Excerpt:
    """Read what `Excerpt.save` wrote."""
    fields = json.loads(path.read_bytes())
    fields["notes"] = tuple(Note(*values) for values in fields["notes"])
    fields["melody_semitones"] = tuple(fields["melody_semitones"])
    return Excerpt(**fields)


def cut(piece: Piece, recipe: RenderingSettings) -> Excerpt:
    """Parse a piece and cut its excerpt, the same for the same recipe.

    Returns:
        The excerpt; with `refusal` set where the piece is too short or leaves the piano's range when transposed.
    """
    parts = read_parts(open_score(piece))
    everything = sorted(each for part in parts for each in part.notes)
    start_ticks = _start(everything, recipe, piece)
    notes = window(everything, start_ticks) if start_ticks is not None else ()
    verdict = _key(parts, start_ticks or 0, everything, piece)
    return Excerpt(
        notes=notes,
        program=recipe.random_for(piece.name, "program").choice(recipe.programs),
        key=verdict.label,
        key_reason=verdict.reason,
        melody_semitones=_melody(parts[0].notes) if parts else (),
        content=_content(everything),
        refusal=_refusal(notes),
    )


def window(notes: Sequence[Note], start_ticks: int) -> tuple[Note, ...]:
    """Notes that start within the ten seconds from `start_ticks`, ended there, each pitch and start once."""
    longest: dict[tuple[int, int], int] = {}
    for each in notes:
        start, end = each.start_ticks - start_ticks, min(each.end_ticks - start_ticks, CLIP_TICKS)
        if 0 <= start < CLIP_TICKS:
            # Two parts in unison are one key on a keyboard; two notes there would only be louder.
            longest[start, each.pitch] = max(end, longest.get((start, each.pitch), 0))
    return tuple(Note(start, end, pitch) for (start, pitch), end in sorted(longest.items()))


def sounding_ticks(notes: Iterable[Note]) -> int:
    """For how long at least one of the notes sounds; `notes` by start."""
    total, reached = 0, 0
    for each in notes:
        total += max(0, each.end_ticks - max(each.start_ticks, reached))
        reached = max(reached, each.end_ticks)
    return total


def _start(notes: Sequence[Note], recipe: RenderingSettings, piece: Piece) -> int | None:
    """A random onset with ten seconds of music after it, or the first onset of a piece that is hardly longer."""
    if not notes:
        return None
    latest = max(each.end_ticks for each in notes) - CLIP_TICKS
    onsets = sorted({each.start_ticks for each in notes if each.start_ticks <= latest}) or [notes[0].start_ticks]
    tries = recipe.random_for(piece.name, "start").sample(onsets, min(_ATTEMPTS, len(onsets)))
    return next((start for start in tries if sounding_ticks(window(notes, start)) >= LEAST_SOUND_TICKS), None)


def _key(parts: Sequence[ScorePart], start_ticks: int, everything: Sequence[Note], piece: Piece) -> keys.KeyVerdict:
    """What the parts state in the excerpt, if the notes of the whole piece agree.

    Of the whole piece: to ask the excerpt's own ten seconds would keep only those that any pitch histogram can tell.
    """
    if piece.modal:
        return keys.KeyVerdict("", keys.MODAL)
    end_ticks = start_ticks + CLIP_TICKS
    verdict = keys.stated(
        (part.signatures_within(start_ticks, end_ticks), part.transposition_semitones) for part in parts
    )
    durations = [0.0] * 12
    for each in everything:
        durations[each.pitch % 12] += each.end_ticks - each.start_ticks
    return keys.confirmed(verdict, durations)


def _refusal(notes: Sequence[Note]) -> str:
    if not notes:
        return "too short or too silent"
    lowest = min(each.pitch for each in notes) + TRANSPOSITIONS_SEMITONES[0]
    highest = max(each.pitch for each in notes) + TRANSPOSITIONS_SEMITONES[-1]
    return "" if lowest >= LOWEST_PITCH and highest <= HIGHEST_PITCH else "leaves the piano's range"


def _melody(notes: Sequence[Note]) -> tuple[int, ...]:
    """Steps between the highest notes at each onset, repetitions left out: they are what variants differ in."""
    highest = {each.start_ticks: each.pitch for each in notes}  # by start and pitch, so the highest comes last
    pitches = list(highest.values())
    return tuple(after - before for before, after in itertools.pairwise(pitches) if after != before)


def _content(notes: Sequence[Note]) -> str:
    first = notes[0] if notes else Note(0, 0, 0)
    origin = first.start_ticks
    relative = [(each.start_ticks - origin, each.end_ticks - origin, each.pitch - first.pitch) for each in notes]
    return hashlib.sha256(repr(relative).encode()).hexdigest()[:16]
