"""The settings and versions that can change the demo audio, and their digest. Imports nothing of the extra `demo`.

Each digest has a folder of its own, so that audio of different settings is never mixed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from stores.digest import digest
from stores.errors import InvalidInput

SAMPLE_RATE_HZ = 22_050
CLIP_SECONDS = 10
TICKS_PER_QUARTER = 480
QUARTERS_PER_MINUTE = 120
"""Tempo of all pieces. It is the same for all, so that it reveals no label beyond what the note values reveal."""
CLIP_TICKS = CLIP_SECONDS * QUARTERS_PER_MINUTE * TICKS_PER_QUARTER // 60
MAX_TEMPO = 1.25
"""Fastest tempo of a varied performance, as a factor on `QUARTERS_PER_MINUTE`."""
ANY_PROGRAM = (*range(47), *range(48, 55), *range(56, 96), *range(104, 112))
"""General MIDI programs with a pitch, from which varied performances draw: no timpani, orchestra hit, effects,
percussion or noises."""
TRANSPOSITIONS_SEMITONES = tuple(range(-6, 6))
"""Every semitone of the octave once, so that each piece with a key has clips in all twelve keys of its mode."""
MIN_PITCH, MAX_PITCH = 21, 108
"""Range of the piano as MIDI pitches. A piece that leaves it in some transposition is not used."""
VERSION = 2
"""Version of this package's code. Increase it when a change affects the audio or the choice of pieces."""


@dataclass(frozen=True)
class RenderingSettings:
    """Settings of one corpus. The same settings give the same bytes."""

    seed: int
    """Seed of the order of the pieces, of their excerpts and of their timbres."""
    programs: tuple[int, ...]
    """General MIDI programs (0 to 127). One is drawn for each piece and used for all its transpositions."""
    soundfont_sha256: str
    """SHA-256 of the SF2 file. For several files, their digests with `+` between them."""
    music21: str
    """Version of music21, which contains the scores and parses them."""
    midirenderer: str
    """Version of midirenderer, which synthesizes the notes."""
    version: int = VERSION
    """Version of this package's code."""
    varied: bool = False
    """Draw a performance for each clip, with programs for each part of the piece, see `performance.py`."""

    @property
    def excerpt_ticks(self) -> int:
        """Length of an excerpt, which is enough for ten seconds at the fastest tempo."""
        return round(CLIP_TICKS * MAX_TEMPO) if self.varied else CLIP_TICKS

    def digest(self) -> str:
        """Return sixteen hexadecimal digits that differ when the audio may differ."""
        return digest({name: value for name, value in asdict(self).items() if name != "varied" or value})

    def random_for(self, *words: str) -> random.Random:
        """Return a random number generator for the purpose that `words` name.

        Its numbers are the same on every machine and in every process.
        """
        return random.Random(":".join((str(self.seed), *words)))  # noqa: S311 - draws music, not secrets


def rendering_settings_for(
    seed: int, programs: Sequence[int] | Literal["any"], soundfonts: Sequence[Path]
) -> RenderingSettings:
    """Return the rendering settings for these choices and the installed packages.

    Raises:
        InvalidInput: if `programs` is empty or has a value outside 0 to 127, if a soundfont cannot be read or there are
            several without `any`, or if the extra `demo` is not installed.
    """
    varied = programs == "any"
    if programs == "any":
        programs = ANY_PROGRAM
    if len(soundfonts) != 1 and not varied:
        raise InvalidInput(f"{len(soundfonts)} soundfonts need --programs any, which draws one for each clip")
    if not programs or not all(0 <= program <= 127 for program in programs):
        raise InvalidInput(f"programs must be at least one General MIDI program from 0 to 127 (got {list(programs)})")
    return RenderingSettings(
        seed=seed,
        programs=tuple(programs),
        soundfont_sha256="+".join(_sha256(path) for path in soundfonts),
        music21=_installed_version("music21"),
        midirenderer=_installed_version("midirenderer"),
        varied=varied,
    )


def _sha256(soundfont: Path) -> str:
    try:
        with soundfont.open("rb") as file:
            if file.read(4) != b"RIFF":
                raise InvalidInput(f"{soundfont} is no SF2 soundfont; compressed SF3 files cannot be read")
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"soundfont {soundfont} cannot be read: {error.strerror}") from error


def default_soundfont() -> Path:
    """Return the path of TimGM6mb.sf2 (6 MB), which is part of pretty_midi.

    pretty_midi is located without importing it, because the import is slow and prints warnings.

    Raises:
        InvalidInput: if pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise InvalidInput(
            f"the demo corpus needs the soundfont of pretty_midi, and pretty_midi is not installed. {_FIX}"
        )
    return Path(spec.submodule_search_locations[0]) / "TimGM6mb.sf2"


_FIX = "Install it with: pip install 'myna[demo]'"


def _installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise InvalidInput(f"the demo corpus needs {package}, which is not installed. {_FIX}") from error
