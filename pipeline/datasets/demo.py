"""The demo dataset: compositions of music21's corpus, rendered on this machine and labeled with genre and key.

A clip has a key label only if the key is certain. 1,200 clips take a minute on two cores and 0.3 GB, and 0.05 s when
they exist already. No network is needed. Rendering needs `pip install 'myna[demo]'`, but importing this module does
not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from pipeline.demo_corpus import build_log, captions
from pipeline.demo_corpus.key_label import transpose_label
from pipeline.demo_corpus.rendering_settings import (
    TRANSPOSITIONS_SEMITONES,
    RenderingSettings,
    default_soundfont,
    rendering_settings_for,
)
from stores.commit import write_json
from stores.errors import InvalidInput

BUILD_LOG_FILE, SETTINGS_FILE = "pieces.csv", "recipe.json"
CAPTIONS_FILE = "captions.csv"
"""Table of a caption for each clip, beside the audio."""


def tracks(
    root: Path,
    clips: int,
    seed: int = 0,
    programs: Sequence[int] | Literal["any"] = (0,),
    *,
    workers: int | None = None,
    soundfonts: Sequence[Path] = (),
    quiet: bool = False,
    as_written: bool = False,
) -> Listing:
    """Render the demo corpus below `root`, or the missing clips of it, and return its clips.

    With the same settings, the pieces of a small corpus are the first pieces of a larger corpus, with the same splits.
    Each choice of settings has a folder of its own. Every clip is a 16-bit FLAC file of 10 s, mono, at 22,050 Hz.

    Args:
        root: folder for all demo corpora.
        clips: minimum number of clips. A piece gives 12 clips, one per semitone, so the number is rounded up to a
            multiple of 12. With `as_written`, a piece gives one clip.
        seed: seed of the order of the pieces, of their excerpts and of their timbres.
        programs: General MIDI programs, 0 to 127. One is drawn for each piece. "any" draws a performance for each clip,
            with a program for each part, a soundfont, a tempo, a level, and mostly a room or noise.
        workers: number of processes (default: one per CPU). With 1, all work is done in the current process.
        soundfonts: SF2 files (default: the soundfont of pretty_midi). Several need `programs="any"`.
        quiet: do not print the table of counts.
        as_written: render and return only the clip of each piece that is not transposed.

    Returns:
        All requested clips, with ids like `chorale/bwv66-6/+03` and the label `genre`. The label `key`, such as
        `Gb minor`, is present if the score states the key and an analysis agrees. The group of a clip is its piece,
        and pieces that share a melody are one group.

    Raises:
        InvalidInput: if a number is out of range, if more clips are requested than the corpus has, or if the extra
            `demo` is not installed.
    """
    if clips < 1 or (workers is not None and workers < 1):
        raise InvalidInput(f"clips and workers must be at least 1 (got clips {clips} and workers {workers})")
    soundfonts = soundfonts or [default_soundfont()]
    settings = rendering_settings_for(seed, programs, soundfonts)
    folder = root / f"demo-{settings.digest()[:8]}"
    transpositions = (0,) if as_written else TRANSPOSITIONS_SEMITONES
    piece_count = -(-clips // len(transpositions))
    rows = build_log.first_pieces(build_log.read(folder / BUILD_LOG_FILE), piece_count)
    tracks = _tracks(folder, rows, transpositions)
    is_incomplete = len(tracks) < piece_count * len(transpositions) or not _all_exist(tracks)
    if is_incomplete:
        rows = _render(folder, settings, piece_count, soundfonts, workers or os.cpu_count() or 1, transpositions)
        tracks = _tracks(folder, rows, transpositions)
    if is_incomplete or not (folder / CAPTIONS_FILE).is_file():
        all_rows = build_log.read(folder / BUILD_LOG_FILE)
        captions.write(folder / CAPTIONS_FILE, captions.captions(folder, all_rows, settings))
    if not quiet:
        print(build_log.summary_table(rows))
    return Listing(tracks, keeps_silence=True)


def _render(
    folder: Path,
    settings: RenderingSettings,
    piece_count: int,
    soundfonts: Sequence[Path],
    workers: int,
    transpositions: Sequence[int],
) -> list[build_log.BuildLogRow]:
    try:
        from pipeline.demo_corpus import rendering
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"the demo corpus needs {error.name}, which is not installed. Install it with: pip install 'myna[demo]'"
        ) from error
    write_json(folder / SETTINGS_FILE, asdict(settings))
    rows = rendering.render_corpus(folder, settings, piece_count, soundfonts, workers, transpositions)
    if len(rows) > len(build_log.read(folder / BUILD_LOG_FILE)):
        build_log.write(folder / BUILD_LOG_FILE, rows)
    return rows


def _tracks(folder: Path, rows: Sequence[build_log.BuildLogRow], transpositions: Sequence[int]) -> list[Track]:
    return [_track(folder, row, semitones) for row in rows if row.split for semitones in transpositions]


def _track(folder: Path, row: build_log.BuildLogRow, semitones: int) -> Track:
    name = f"{row.genre}/{row.slug}/{semitones:+03d}"
    key = transpose_label(row.key, semitones)
    labels = {"genre": row.genre} | ({"key": key} if key else {})
    return Track(name, folder / "audio" / f"{name}.flac", group=row.group, split=row.split, labels=labels)


def _all_exist(tracks: Sequence[Track]) -> bool:
    return all(track.path.is_file() for track in tracks)
