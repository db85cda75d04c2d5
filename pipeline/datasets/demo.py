"""The demo dataset: real compositions from music21's corpus, rendered here; labels are genre and, where certain, key.

1,200 clips take a minute on two cores and 0.3 GB, after that 0.05 s. No network. Needs
`pip install 'myna[demo]'`; only this module's import does without.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from pipeline.demo_corpus import build_log
from pipeline.demo_corpus.key_label import transposed
from pipeline.demo_corpus.rendering_settings import (
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
    default_soundfont,
    recipe_for,
)
from stores.commit import write_json
from stores.errors import InvalidInput

LEDGER = "pieces.csv"


def tracks(
    root: Path,
    clips: int,
    seed: int = 0,
    programs: Sequence[int] = (0,),
    *,
    workers: int | None = None,
    soundfont: Path | None = None,
    quiet: bool = False,
) -> Listing:
    """Make the demo corpus below `root`, or what is missing of it, and return its clips.

    The pieces of a small corpus are the first ones of a larger one with the same settings, with the same splits; other
    settings go to another folder. Every clip is 10 s, mono, 22,050 Hz, 16-bit FLAC.

    Args:
        root: folder for all demo corpora.
        clips: at least so many clips; a piece gives 12, one per semitone, so the number is rounded up to twelves.
        seed: which pieces come first, where they are cut, and which timbre they get.
        programs: General MIDI programs, 0 to 127; each piece draws one.
        workers: processes; by default one per CPU, 1 stays in this process.
        soundfont: SF2 file; by default the one that pretty_midi ships.
        quiet: do not print the table of counts.

    Returns:
        All clips asked for, with ids like `chorale/bwv66-6/+03`, grouped by piece (pieces that share a melody are one
        group), labels `genre` and, where the score states it and an analysis agrees, `key`, e.g. `Gb minor`.

    Raises:
        InvalidInput: for numbers out of range, more clips than the corpus has, or if the extra `demo` is missing.
    """
    if clips < 1 or (workers is not None and workers < 1):
        raise InvalidInput(f"clips is {clips} and workers is {workers}; both must be at least 1")
    soundfont = soundfont or default_soundfont()
    recipe = recipe_for(seed, programs, soundfont)
    folder = root / f"demo-{recipe.digest()[:8]}"
    wanted = -(-clips // len(TRANSPOSITIONS_SEMITONES))
    rows = build_log.first_used(build_log.read(folder / LEDGER), wanted)
    found = _tracks(folder, rows)
    if len(found) < wanted * len(TRANSPOSITIONS_SEMITONES) or not _all_there(found):
        rows = _produce(folder, recipe, wanted, soundfont, workers or os.cpu_count() or 1)
        found = _tracks(folder, rows)
    if not quiet:
        print(build_log.summary(rows))
    return Listing(found, keeps_silence=True)


def _produce(
    folder: Path, recipe: RenderingSettings, wanted: int, soundfont: Path, workers: int
) -> list[build_log.BuildLogRow]:
    try:
        from pipeline.demo_corpus import rendering
    except ModuleNotFoundError as missing:
        raise InvalidInput(f"making the demo corpus needs {missing.name}: pip install 'myna[demo]'") from missing
    write_json(folder / "recipe.json", asdict(recipe))
    rows = rendering.produce(folder, recipe, wanted, soundfont, workers)
    if len(rows) > len(build_log.read(folder / LEDGER)):
        build_log.write(folder / LEDGER, rows)
    return rows


def _tracks(folder: Path, rows: Sequence[build_log.BuildLogRow]) -> list[Track]:
    return [_track(folder, row, semitones) for row in rows if row.split for semitones in TRANSPOSITIONS_SEMITONES]


def _track(folder: Path, row: build_log.BuildLogRow, semitones: int) -> Track:
    name = f"{row.genre}/{row.slug}/{semitones:+03d}"
    key = transposed(row.key, semitones)
    labels = {"genre": row.genre} | ({"key": key} if key else {})
    return Track(name, folder / "audio" / f"{name}.flac", group=row.group, split=row.split, labels=labels)


def _all_there(found: Sequence[Track]) -> bool:
    return all(track.path.exists() for track in found)
