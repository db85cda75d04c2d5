"""Notes to sound: an excerpt, transposed, through a General MIDI soundfont, then to FLAC.

The same notes give the same samples in any process and any order. 15 ms and 0.24 MB a clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.demo_corpus.excerpt import Excerpt
from pipeline.demo_corpus.recipe import CLIP_SECONDS, CLIP_TICKS, SAMPLE_RATE_HZ, TRANSPOSITIONS_SEMITONES
from pipeline.demo_corpus.tones import tone
from stores.commit import committed

PEAK = 10 ** (-1 / 20)
"""-1 dBFS. Each clip is scaled to this peak: with a fixed gain the number of voices, and so the genre, would be heard
in the level, and one gain low enough for eight voices would leave a lone fiddle 15 dB down."""
_SAMPLES = CLIP_SECONDS * SAMPLE_RATE_HZ


def samples(excerpt: Excerpt, semitones: int, soundfont: Path) -> npt.NDArray[np.float32]:
    """Render an excerpt, transposed.

    Returns:
        float32 [T] with T = 220,500: ten seconds, mono, at 22,050 Hz, the largest magnitude at -1 dBFS.

    Raises:
        InvalidInput: if the soundfont lacks the excerpt's program.
    """
    clip = np.zeros(_SAMPLES, dtype=np.float32)
    for note in excerpt.notes:
        start, end = _at(note.start_ticks), _at(note.end_ticks)
        sounding = tone(soundfont, excerpt.program, note.pitch + semitones).note(end - start)[: _SAMPLES - start]
        clip[start : start + len(sounding)] += sounding
    return np.asarray(clip * np.float32(PEAK / np.abs(clip).max()), dtype=np.float32)


def clip_name(semitones: int) -> str:
    """File name of one transposition, `+03.flac`."""
    return f"{semitones:+03d}.flac"


def write_clips(excerpt: Excerpt, folder: Path, soundfont: Path) -> int:
    """Write the transpositions of an excerpt that are not in `folder` yet, atomically; return how many were written."""
    missing = [shift for shift in TRANSPOSITIONS_SEMITONES if not (folder / clip_name(shift)).exists()]
    for semitones in missing:
        with committed(folder / clip_name(semitones)) as temporary:
            clip = samples(excerpt, semitones, soundfont)
            soundfile.write(temporary, clip, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(missing)


def _at(ticks: int) -> int:
    return round(ticks * _SAMPLES / CLIP_TICKS)
