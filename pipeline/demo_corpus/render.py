"""Notes to sound: an excerpt, transposed, through a General MIDI soundfont, then to FLAC; 12 ms and 310 kB a clip.

symusic's synthesizer keeps no state between calls: the same notes give the same samples, in any process and any order.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import symusic

from pipeline.demo_corpus.excerpt import Excerpt
from pipeline.demo_corpus.recipe import (
    CLIP_SECONDS,
    CLIP_TICKS,
    QUARTERS_PER_MINUTE,
    SAMPLE_RATE_HZ,
    TICKS_PER_QUARTER,
    TRANSPOSITIONS_SEMITONES,
)
from stores.commit import committed

VELOCITY = 80
"""One for all notes, so that dynamics carry no label."""
PEAK = 10 ** (-1 / 20)
"""-1 dBFS. Each clip is scaled to this peak: with a fixed gain the number of voices, and so the genre, would be heard
in the level, and one gain low enough for eight voices would leave a lone fiddle 15 dB down."""


def samples(excerpt: Excerpt, semitones: int, soundfont: Path) -> npt.NDArray[np.float32]:
    """Render an excerpt, transposed.

    Returns:
        float32 [T] with T = 220,500: ten seconds, mono, at 22,050 Hz, the largest magnitude at -1 dBFS.
    """
    score, track = symusic.Score(TICKS_PER_QUARTER), symusic.Track(program=excerpt.program)
    score.tempos.append(symusic.Tempo(0, QUARTERS_PER_MINUTE))
    for note in excerpt.notes:
        length_ticks = note.end_ticks - note.start_ticks
        track.notes.append(symusic.Note(note.start_ticks, length_ticks, note.pitch + semitones, VELOCITY))
    # Rendering stops dead at the last note's end. This one lies behind the cut and lets those before it ring out.
    track.notes.append(symusic.Note(CLIP_TICKS, TICKS_PER_QUARTER, 60, VELOCITY))
    score.tracks.append(track)
    rendered = np.asarray(_synthesizer(soundfont).render(score, stereo=False), dtype=np.float32)
    clip = rendered[0, : CLIP_SECONDS * SAMPLE_RATE_HZ]
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


@functools.cache
def _synthesizer(soundfont: Path) -> symusic.Synthesizer:
    return symusic.Synthesizer(str(soundfont), SAMPLE_RATE_HZ)
