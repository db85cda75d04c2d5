"""Which pieces are in the corpus, in what order, and in which split: a pure function of the excerpts.

Genres take turns, each giving its next usable piece; a genre without pieces drops out. Every decision depends on
earlier pieces only, so a small corpus is a prefix of a large one and no piece ever changes its split.

The same tune stands in more than one book, and one chorale melody has several harmonisations. A piece that is note for
note an earlier one (transposed or not) is dropped. A piece whose melody shares sixteen steps in a row with an earlier
one joins its group and its split; one that shares with two splits is dropped. Of all 4,765 pieces 46 are copies, 35
share with two splits, and one in six joins an earlier one: 283 of them a tune in the other fiddle book, 125 chorales.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.demo_corpus.catalog import Piece
from pipeline.demo_corpus.excerpt import Excerpt

SHARES = {"train": 0.6, "valid": 0.1, "test": 0.3}
SHARED_STEPS = 16
"""Two bars of a reel, two lines of a chorale."""
LEAST_STEP_SIZES = 5
"""Different steps within the sixteen; trills, scales and broken chords, which everybody plays, have fewer."""


@dataclass(frozen=True)
class Candidate:
    """A piece and its excerpt."""

    piece: Piece
    excerpt: Excerpt


@dataclass(frozen=True)
class CandidateVerdict:
    """What became of a candidate."""

    candidate: Candidate
    group: str = ""
    """Name of the first piece that it shares a melody with, mostly itself; empty if it is not used."""
    split: str = ""
    """Empty if it is not used."""
    refusal: str = ""
    """Why it is not used, or empty."""


@dataclass
class Selection:
    """Candidates judged so far, in the order in which they were judged."""

    choices: list[CandidateVerdict] = field(default_factory=list)
    exhausted: set[str] = field(default_factory=set)
    """Genres without further pieces."""
    complete: bool = False
    """As many pieces are used as were wanted."""
    _contents: dict[str, str] = field(default_factory=dict)
    _melodies: dict[tuple[int, ...], tuple[str, str]] = field(default_factory=dict)
    _sizes: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def used(self) -> list[CandidateVerdict]:
        """The pieces of the corpus, in order."""
        return [choice for choice in self.choices if choice.split]

    def judge(self, candidate: Candidate) -> bool:
        """Use a candidate or refuse it; true if it is used."""
        choice = self._choice(candidate)
        self.choices.append(choice)
        if choice.split:
            self._remember(choice)
        return bool(choice.split)

    def _choice(self, candidate: Candidate) -> CandidateVerdict:
        excerpt, name = candidate.excerpt, candidate.piece.name
        if excerpt.refusal:
            return CandidateVerdict(candidate, refusal=excerpt.refusal)
        if excerpt.content in self._contents:
            return CandidateVerdict(candidate, refusal="copy of an earlier piece")
        relatives = [self._melodies[run] for run in _runs(excerpt) if run in self._melodies]
        if len({split for _, split in relatives}) > 1:
            return CandidateVerdict(candidate, refusal="shares melodies with two splits")
        group, split = relatives[0] if relatives else (name, self._neediest_split(candidate.piece.genre))
        return CandidateVerdict(candidate, group, split)

    def _remember(self, choice: CandidateVerdict) -> None:
        self._contents[choice.candidate.excerpt.content] = choice.group
        self._sizes[choice.candidate.piece.genre, choice.split] += 1
        for run in _runs(choice.candidate.excerpt):
            self._melodies.setdefault(run, (choice.group, choice.split))

    def _neediest_split(self, genre: str) -> str:
        total = 1 + sum(self._sizes[genre, split] for split in SHARES)
        return max(SHARES, key=lambda split: SHARES[split] * total - self._sizes[genre, split])


def select(queues: Mapping[str, Sequence[Candidate]], available: Mapping[str, int], wanted: int) -> Selection:
    """Judge candidates, one used piece of each genre in turn, until `wanted` are used or candidates are missing.

    Args:
        queues: for each genre the candidates cut so far, in the corpus' order.
        available: for each genre how many candidates there will ever be.
        wanted: pieces.

    Returns:
        The selection; neither `complete` nor all genres `exhausted` means that a queue must be longer.
    """
    selection, waiting = Selection(), {genre: iter(queue) for genre, queue in queues.items()}
    used = 0
    while used < wanted and waiting:
        for genre in list(waiting):
            if any(selection.judge(candidate) for candidate in waiting[genre]):
                used += 1
                if used == wanted:
                    break
            elif len(queues[genre]) < available[genre]:
                return selection
            else:
                selection.exhausted.add(genre)
                del waiting[genre]
    selection.complete = used == wanted
    return selection


def _runs(excerpt: Excerpt) -> list[tuple[int, ...]]:
    steps = excerpt.melody_semitones
    runs = [steps[start : start + SHARED_STEPS] for start in range(len(steps) - SHARED_STEPS + 1)]
    return [run for run in runs if len(set(run)) >= LEAST_STEP_SIZES]
