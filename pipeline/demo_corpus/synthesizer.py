"""Notes to sound: an excerpt, transposed, through a General MIDI soundfont, then to FLAC.

`midirenderer` (RustySynth) plays the notes; 0.1 s and 0.24 MB a clip. symusic 0.5.9 is faster, but out of tune
with this soundfont: its A4 on the piano has its strongest partial at 1,649 Hz.
"""

from __future__ import annotations

import io
from pathlib import Path

import midirenderer
import mido
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.demo_corpus.excerpt import Excerpt
from pipeline.demo_corpus.rendering_settings import (
    CLIP_SECONDS,
    CLIP_TICKS,
    QUARTERS_PER_MINUTE,
    SAMPLE_RATE_HZ,
    TICKS_PER_QUARTER,
    TRANSPOSITIONS_SEMITONES,
)
from stores.commit import atomic_write

VELOCITY = 80
"""One for all notes, so that dynamics carry no label."""
PEAK = 10 ** (-1 / 20)
"""-1 dBFS. Each clip is scaled to this peak: with a fixed gain the number of voices, and so the genre, would be heard
in the level, and one gain low enough for eight voices would leave a lone fiddle 15 dB down."""
_SAMPLES = CLIP_SECONDS * SAMPLE_RATE_HZ


def samples(excerpt: Excerpt, semitones: int, soundfont: bytes) -> npt.NDArray[np.float32]:
    """Render an excerpt, transposed.

    Args:
        excerpt: what is played.
        semitones: how much higher.
        soundfont: content of an SF2 file.

    Returns:
        float32 `[T]` with T = 220,500: ten seconds, mono, at 22,050 Hz, the largest magnitude at -1 dBFS.
    """
    wave = midirenderer.render_wave_from(soundfont, _midi(excerpt, semitones))
    stereo, rate_hz = soundfile.read(io.BytesIO(wave), dtype="float32", always_2d=True)
    mono = soxr.resample(stereo.mean(axis=1), rate_hz, SAMPLE_RATE_HZ)[:_SAMPLES]
    clip = np.pad(mono, (0, _SAMPLES - len(mono)))
    return np.asarray(clip * np.float32(PEAK / np.abs(clip).max()), dtype=np.float32)


def clip_name(semitones: int) -> str:
    """File name of one transposition, `+03.flac`."""
    return f"{semitones:+03d}.flac"


def write_clips(excerpt: Excerpt, folder: Path, soundfont: Path) -> int:
    """Write the transpositions of an excerpt that are not in `folder` yet, atomically; return how many were written."""
    missing = [shift for shift in TRANSPOSITIONS_SEMITONES if not (folder / clip_name(shift)).exists()]
    content = soundfont.read_bytes() if missing else b""
    for semitones in missing:
        with atomic_write(folder / clip_name(semitones)) as temporary:
            clip = samples(excerpt, semitones, content)
            soundfile.write(temporary, clip, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(missing)


def _midi(excerpt: Excerpt, semitones: int) -> bytes:
    """The excerpt as a Standard MIDI File of one track."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(QUARTERS_PER_MINUTE)))
    track.append(mido.Message("program_change", program=excerpt.program))
    now = 0
    for tick, kind, pitch in _events(excerpt):
        message = mido.Message(kind, note=pitch + semitones, velocity=VELOCITY, time=tick - now)
        track.append(message)
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, CLIP_TICKS - now)))  # so that the last note rings out
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=TICKS_PER_QUARTER, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def _events(excerpt: Excerpt) -> list[tuple[int, str, int]]:
    """Tick, kind and pitch; at one tick notes end ("note_off" sorts first) before the next ones begin."""
    starts = [(note.start_ticks, "note_on", note.pitch) for note in excerpt.notes]
    return sorted([*starts, *[(note.end_ticks, "note_off", note.pitch) for note in excerpt.notes]])
