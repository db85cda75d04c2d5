"""What may change the demo's audio, and its digest; imports nothing of the extra `demo`.

Recipes with different digests live in different folders, so that a stale corpus is never mixed in.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stores.digest import digest
from stores.errors import InvalidInput

SAMPLE_RATE_HZ = 22_050
CLIP_SECONDS = 10
TICKS_PER_QUARTER = 480
QUARTERS_PER_MINUTE = 120
"""One tempo for all, so that tempo carries no label beyond what the note values say."""
CLIP_TICKS = CLIP_SECONDS * QUARTERS_PER_MINUTE * TICKS_PER_QUARTER // 60
TRANSPOSITIONS_SEMITONES = tuple(range(-6, 6))
"""Every semitone of the octave once: each piece with a key visits all twelve tonics."""
LOWEST_PITCH, HIGHEST_PITCH = 21, 108
"""The piano's range as MIDI pitches; a piece that leaves it in some transposition is not used."""
VERSION = 2
"""Raise it when the code changes what is heard or which pieces are chosen."""


@dataclass(frozen=True)
class RenderingSettings:
    """One corpus: the same recipe gives the same bytes."""

    seed: int
    """Decides the order of pieces, where each is cut, and its timbre."""
    programs: tuple[int, ...]
    """General MIDI programs (0 to 127); each piece draws one, the same for all its transpositions."""
    soundfont_sha256: str
    """Of the SF2 file."""
    music21: str
    """Version: it holds the scores and reads them."""
    midirenderer: str
    """Version: it plays them."""
    version: int = VERSION
    """Of this code."""

    def digest(self) -> str:
        """Sixteen hex digits that differ when the audio may differ."""
        return digest(asdict(self))

    def random_for(self, *words: str) -> random.Random:
        """A stream of random numbers for one purpose, the same on every machine and in every process."""
        return random.Random(":".join((str(self.seed), *words)))  # noqa: S311 - draws music, not secrets


def recipe_for(seed: int, programs: Sequence[int], soundfont: Path) -> RenderingSettings:
    """The recipe for these choices and the packages installed here.

    Raises:
        InvalidInput: for programs outside 0 to 127 or none, or if the extra `demo` is not installed.
    """
    if not programs or not all(0 <= program <= 127 for program in programs):
        raise InvalidInput(f"programs is {list(programs)}; give at least one General MIDI program from 0 to 127")
    return RenderingSettings(
        seed=seed,
        programs=tuple(programs),
        soundfont_sha256=hashlib.sha256(soundfont.read_bytes()).hexdigest(),
        music21=_installed("music21"),
        midirenderer=_installed("midirenderer"),
    )


def default_soundfont() -> Path:
    """TimGM6mb.sf2, 6 MB, as pretty_midi ships it (found without importing it: the import is slow and warns).

    Raises:
        InvalidInput: if pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise InvalidInput(
            "the demo corpus needs a soundfont and pretty_midi, which has one, is not installed: " + _FIX
        )
    return Path(spec.submodule_search_locations[0]) / "TimGM6mb.sf2"


_FIX = "pip install 'myna[demo]'"


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as missing:
        raise InvalidInput(f"the demo corpus needs {package}, which is not installed: {_FIX}") from missing
