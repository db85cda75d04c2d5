"""Captions of the clips, made from their scores: tempo, collection, instrument and key.

    a slow Bach chorale in C minor, played on the church organ

The tempo word comes from the number of different onsets in a second, because all pieces are rendered at the same beat.
A key that is not certain is left out. A caption is a function of the excerpt alone, and one of four sentences, which a
seeded draw chooses for each piece. Captions that state the same in different sentences have the same meaning, which is
their first sentence. Imports nothing of the extra `demo`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.demo_corpus.build_log import BuildLogRow
from pipeline.demo_corpus.key_label import transpose_label
from pipeline.demo_corpus.rendering_settings import (
    CLIP_SECONDS,
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
)
from stores.commit import read_bounded, write_bytes
from stores.json_codec import parse_json

MAX_EXCERPT_BYTES = 1 << 22
COLLECTIONS = {
    "chorale": "Bach chorale",
    "mass": "Palestrina mass",
    "fiddle": "American fiddle tune",
    "irish": "Irish dance tune",
    "trecento": "medieval Italian song",
    "quartet": "classical string quartet movement",
}
"""Name of each collection in captions."""
TEMPOS = ((2.0, "slow"), (3.5, "moderate"), (5.0, "lively"))
"""Onsets per second below which a piece has each tempo word."""
FASTEST = "fast"
INSTRUMENTS = {
    0: "piano",
    6: "harpsichord",
    11: "vibraphone",
    19: "church organ",
    24: "guitar",
    40: "violin",
    48: "strings",
    52: "choir",
    56: "trumpet",
    73: "flute",
    -1: "different instruments",
}
"""Names of some General MIDI programs. Others are called by their number."""
_SENTENCES = (
    "a {tempo} {collection}{key}, played on the {instrument}",
    "{tempo} {instrument} music{key}: a {collection}",
    "{collection} for {instrument}{key}, {tempo}",
    "the {instrument} plays a {tempo} {collection}{key}",
)


@dataclass(frozen=True)
class Caption:
    """The caption of a clip."""

    text: str
    """One of the sentences."""
    meaning: str
    """The first sentence, which is the same for all captions that state the same."""


def tempo_word(onsets_per_second: float) -> str:
    """Return the tempo word of a piece with so many different onsets in a second."""
    return next((word for limit, word in TEMPOS if onsets_per_second < limit), FASTEST)


def caption(row: BuildLogRow, semitones: int, onsets_per_second: float, sentence: int) -> str:
    """Return the caption of a clip.

    Args:
        row: the piece.
        semitones: transposition of the clip.
        onsets_per_second: number of different onsets in a second.
        sentence: number of the sentence, from 0 to 3.
    """
    key = transpose_label(row.key, semitones)
    return _SENTENCES[sentence].format(
        tempo=tempo_word(onsets_per_second),
        collection=COLLECTIONS[row.genre],
        instrument=INSTRUMENTS.get(int(row.program), f"instrument {row.program}"),
        key=f" in {key}" if key else "",
    )


def captions(folder: Path, rows: Sequence[BuildLogRow], settings: RenderingSettings) -> dict[str, Caption]:
    """Return the caption of each clip by its id, for the used pieces in `rows` with an excerpt below `folder`."""
    result = {}
    for row in rows:
        name = f"{row.genre}/{row.slug}"
        excerpt = folder / "excerpts" / f"{name}.json"
        if not row.split or not excerpt.is_file():
            continue
        rate = _onsets_per_second(excerpt)
        sentence = settings.random_for(name, "caption").randrange(len(_SENTENCES))
        for semitones in TRANSPOSITIONS_SEMITONES:
            texts = (caption(row, semitones, rate, number) for number in (sentence, 0))
            result[f"{name}/{semitones:+03d}"] = Caption(*texts)
    return result


def write(path: Path, by_id: Mapping[str, Caption]) -> None:
    """Write captions as a CSV table with the columns `id`, `caption` and `meaning`, atomically."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("id", "caption", "meaning"))
    table.writerows((name, each.text, each.meaning) for name, each in by_id.items())
    write_bytes(path, text.getvalue().encode())


def _onsets_per_second(path: Path) -> float:
    notes = parse_json(read_bounded(path, MAX_EXCERPT_BYTES))["notes"]
    return len({start for start, *_ in notes}) / CLIP_SECONDS
