"""Rendering of an excerpt in one transposition through a General MIDI soundfont, and writing it as FLAC.

`midirenderer` (RustySynth) synthesizes the notes. A clip takes 0.1 s and 0.24 MB. symusic 0.5.9 is faster, but it is
out of tune with this soundfont: the strongest partial of its A4 on the piano is at 1,649 Hz.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import midirenderer
import mido
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.demo_corpus.excerpt import Excerpt
from pipeline.demo_corpus.performance import Performance, draw, record
from pipeline.demo_corpus.rendering_settings import (
    CLIP_SECONDS,
    CLIP_TICKS,
    QUARTERS_PER_MINUTE,
    SAMPLE_RATE_HZ,
    TICKS_PER_QUARTER,
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
)
from stores.commit import atomic_write
from stores.errors import InvalidInput

MAX_DRAWS = 20
"""Performances that are tried for a clip until one sounds."""
MELODIC_CHANNELS = (*range(9), *range(10, 16))
VELOCITY = 80
"""MIDI velocity of all notes. It is the same for all, so that dynamics reveal no label."""
PEAK = 10 ** (-1 / 20)
"""Peak magnitude of every clip, -1 dBFS. With a fixed gain, the level would reveal the number of voices and so the
genre, and a gain that is low enough for eight voices would leave a single fiddle 15 dB lower."""
_SAMPLES = CLIP_SECONDS * SAMPLE_RATE_HZ


def render_samples(
    excerpt: Excerpt, semitones: int, soundfont: bytes, performance: Performance | None = None
) -> npt.NDArray[np.float32]:
    """Render an excerpt in one transposition.

    Args:
        excerpt: notes and program.
        semitones: transposition upward, in semitones.
        soundfont: content of an SF2 file.
        performance: varied performance (default: the program of the excerpt for all parts, without room and noise).

    Returns:
        float32 `[T]` with T = 220,500: ten seconds, mono, at 22,050 Hz, with a peak magnitude of -1 dBFS, or of
        the peak level of the performance.
    """
    wave = midirenderer.render_wave_from(soundfont, _midi(excerpt, semitones, performance))
    stereo, rate_hz = soundfile.read(io.BytesIO(wave), dtype="float32", always_2d=True)
    mono = soxr.resample(stereo.mean(axis=1), rate_hz, SAMPLE_RATE_HZ)[:_SAMPLES]
    clip = np.pad(mono, (0, _SAMPLES - len(mono)))
    if performance is not None:
        return record(clip, performance)
    return np.asarray(clip * np.float32(PEAK / np.abs(clip).max()), dtype=np.float32)


def clip_name(semitones: int) -> str:
    """Return the file name of one transposition, such as `+03.flac`."""
    return f"{semitones:+03d}.flac"


def write_clips(
    excerpt: Excerpt,
    folder: Path,
    settings: RenderingSettings,
    soundfonts: Sequence[Path],
    transpositions: Sequence[int] = TRANSPOSITIONS_SEMITONES,
) -> int:
    """Write the transpositions of an excerpt that `folder` lacks, atomically, and return how many were written."""
    missing = [shift for shift in transpositions if not (folder / clip_name(shift)).exists()]
    for semitones in missing:
        clip = _render(excerpt, folder, semitones, settings, soundfonts)
        with atomic_write(folder / clip_name(semitones)) as temporary:
            soundfile.write(temporary, clip, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(missing)


def _render(
    excerpt: Excerpt, folder: Path, semitones: int, settings: RenderingSettings, soundfonts: Sequence[Path]
) -> npt.NDArray[np.float32]:
    """Render a clip. A performance without sound, for which a soundfont lacks the pitches, is drawn again."""
    if not settings.varied:
        return render_samples(excerpt, semitones, _content(soundfonts[0]))
    chance = settings.random_for(folder.parent.name, folder.name, str(semitones), "performance")
    parts = 1 + max(note.part for note in excerpt.notes)
    for _ in range(MAX_DRAWS):
        performance = draw(chance, parts, settings.programs, len(soundfonts))
        clip = render_samples(excerpt, semitones, _content(soundfonts[performance.soundfont]), performance)
        if clip.any():
            return clip
    raise InvalidInput(f"{folder.name}: {MAX_DRAWS} performances are silent; use other soundfonts")


@cache
def _content(soundfont: Path) -> bytes:
    return soundfont.read_bytes()


def _midi(excerpt: Excerpt, semitones: int, performance: Performance | None = None) -> bytes:
    """Return the transposed excerpt as a Standard MIDI File of one track, with a channel for each part."""
    programs = performance.programs if performance else (excerpt.program,)
    velocities = performance.velocities if performance else (VELOCITY,)
    tempo = performance.tempo if performance else 1.0
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(QUARTERS_PER_MINUTE * tempo)))
    for part, program in enumerate(programs):
        track.append(mido.Message("program_change", program=program, channel=_channel(part)))
    previous_tick = 0
    for tick, kind, pitch, part in _events(excerpt):
        sound = {"note": pitch + semitones, "velocity": velocities[part], "channel": _channel(part)}
        track.append(mido.Message(kind, **sound, time=tick - previous_tick))
        previous_tick = tick
    # the track ends with the clip, so that the last note decays
    remaining_ticks = max(0, round(CLIP_TICKS * tempo) - previous_tick)
    track.append(mido.MetaMessage("end_of_track", time=remaining_ticks))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=TICKS_PER_QUARTER, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def _channel(part: int) -> int:
    """Return the MIDI channel of a part; channel 9 is for drums, and the parts of large scores share channels."""
    channel: int = MELODIC_CHANNELS[part % len(MELODIC_CHANNELS)]
    return channel


def _events(excerpt: Excerpt) -> list[tuple[int, str, int, int]]:
    """Return the tick, kind, pitch and part of all events, sorted.

    At the same tick, notes end before others begin, because "note_off" sorts before "note_on".
    """
    starts = [(note.start_ticks, "note_on", note.pitch, note.part) for note in excerpt.notes]
    return sorted([*starts, *[(note.end_ticks, "note_off", note.pitch, note.part) for note in excerpt.notes]])
