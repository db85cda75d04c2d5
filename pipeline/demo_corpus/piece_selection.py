"""The choice of the pieces of the corpus, their order and their splits, as a pure function of the excerpts.

The genres take turns, and each contributes its next usable piece. A genre without further pieces drops out. Every
decision depends on earlier pieces only. A small corpus is therefore a prefix of a large one, and no piece ever changes
its split.

The same tune is in more than one book, and some chorale melodies have several harmonizations. A duplicate, which has
the notes of an earlier piece (transposed or not), is left out. If the melody of a piece shares sixteen successive
intervals with an earlier piece, the piece joins the group and the split of that piece. If it shares intervals with
pieces of two splits, it is left out. Of all 4,765 pieces, 46 are duplicates, 35 share melodies with two splits, and one
in six joins an earlier piece: 283 of them are tunes of the other fiddle book, and 125 are chorales.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.demo_corpus.catalog import Piece
from pipeline.demo_corpus.excerpt import Excerpt

SHARES = {"train": 0.6, "valid": 0.1, "test": 0.3}
SHARED_INTERVALS = 16
"""Successive intervals that make two melodies related: two bars of a reel, or two lines of a chorale."""
MIN_DISTINCT_INTERVALS = 5
"""Different intervals that the sixteen must have. Trills, scales and broken chords have fewer and occur everywhere."""


@dataclass(frozen=True)
class Candidate:
    """A piece and its excerpt."""

    piece: Piece
    excerpt: Excerpt


@dataclass(frozen=True)
class CandidateVerdict:
    """The decision about a candidate."""

    candidate: Candidate
    group: str = ""
    """Name of the first piece that shares a melody with it, which is mostly itself. Empty if it is not used."""
    split: str = ""
    """Split of the piece. Empty if it is not used."""
    refusal: str = ""
    """Reason why it is not used, or an empty string."""


@dataclass
class Selection:
    """The decisions about all candidates so far."""

    verdicts: list[CandidateVerdict] = field(default_factory=list)
    """Decisions in the order in which they were made."""
    exhausted: set[str] = field(default_factory=set)
    """Genres without further pieces."""
    complete: bool = False
    """True if as many pieces are used as were requested."""
    _groups_by_content: dict[str, str] = field(default_factory=dict)
    _melodies: dict[tuple[int, ...], tuple[str, str]] = field(default_factory=dict)
    _sizes: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def used(self) -> list[CandidateVerdict]:
        """The decisions about the pieces that are used, in order."""
        return [verdict for verdict in self.verdicts if verdict.split]

    def judge(self, candidate: Candidate) -> bool:
        """Decide about a candidate, record the decision, and return whether the candidate is used."""
        verdict = self._decide(candidate)
        self.verdicts.append(verdict)
        if verdict.split:
            self._remember(verdict)
        return bool(verdict.split)

    def _decide(self, candidate: Candidate) -> CandidateVerdict:
        excerpt, name = candidate.excerpt, candidate.piece.name
        if excerpt.refusal:
            return CandidateVerdict(candidate, refusal=excerpt.refusal)
        if excerpt.content in self._groups_by_content:
            return CandidateVerdict(candidate, refusal="copy of an earlier piece")
        related = [self._melodies[fragment] for fragment in _fragments(excerpt) if fragment in self._melodies]
        if len({split for _, split in related}) > 1:
            return CandidateVerdict(candidate, refusal="shares melodies with two splits")
        group, split = related[0] if related else (name, self._neediest_split(candidate.piece.genre))
        return CandidateVerdict(candidate, group, split)

    def _remember(self, verdict: CandidateVerdict) -> None:
        self._groups_by_content[verdict.candidate.excerpt.content] = verdict.group
        self._sizes[verdict.candidate.piece.genre, verdict.split] += 1
        for fragment in _fragments(verdict.candidate.excerpt):
            self._melodies.setdefault(fragment, (verdict.group, verdict.split))

    def _neediest_split(self, genre: str) -> str:
        total = 1 + sum(self._sizes[genre, split] for split in SHARES)
        return max(SHARES, key=lambda split: SHARES[split] * total - self._sizes[genre, split])


def select(queues: Mapping[str, Sequence[Candidate]], available: Mapping[str, int], piece_count: int) -> Selection:
    """Judge candidates, with one used piece of each genre in turn, until enough are used or a queue is too short.

    Args:
        queues: for each genre, the candidates that are cut already, in the order of the corpus.
        available: for each genre, the total number of pieces.
        piece_count: number of pieces to use.

    Returns:
        The selection. If it is not `complete` and some genres are not `exhausted`, a queue must be made longer.
    """
    selection, waiting = Selection(), {genre: iter(queue) for genre, queue in queues.items()}
    used = 0
    while used < piece_count and waiting:
        for genre in list(waiting):
            if any(selection.judge(candidate) for candidate in waiting[genre]):
                used += 1
                if used == piece_count:
                    break
            elif len(queues[genre]) < available[genre]:
                return selection
            else:
                selection.exhausted.add(genre)
                del waiting[genre]
    selection.complete = used == piece_count
    return selection


def _fragments(excerpt: Excerpt) -> list[tuple[int, ...]]:
    """Return all runs of sixteen intervals of the melody that have enough different intervals."""
    melody = excerpt.melody_semitones
    fragments = [melody[start : start + SHARED_INTERVALS] for start in range(len(melody) - SHARED_INTERVALS + 1)]
    return [fragment for fragment in fragments if len(set(fragment)) >= MIN_DISTINCT_INTERVALS]
