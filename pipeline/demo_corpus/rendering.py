"""Rendering of scores to audio in several processes. It can be interrupted at any time and started again.

    FOLDER/excerpts/GENRE/PIECE.json     every piece that was considered, so that no score is parsed twice
    FOLDER/audio/GENRE/PIECE/+03.flac    the clips

Every file is written atomically, and existing files are not made again. Parsing takes 20 to 1500 ms per piece and
rendering takes 100 ms per clip. Both use all processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.demo_corpus.build_log import BuildLogRow
from pipeline.demo_corpus.catalog import GENRES, Piece, list_pieces
from pipeline.demo_corpus.excerpt import Excerpt, cut_excerpt, load_excerpt
from pipeline.demo_corpus.piece_selection import Candidate, CandidateVerdict, Selection, select
from pipeline.demo_corpus.rendering_settings import TRANSPOSITIONS_SEMITONES, RenderingSettings
from pipeline.demo_corpus.synthesizer import clip_name, write_clips
from stores.errors import InvalidInput
from stores.progress import Progress

MapOverTasks = Callable[..., Iterable[Any]]


def render_corpus(
    folder: Path,
    settings: RenderingSettings,
    piece_count: int,
    soundfonts: Sequence[Path],
    workers: int,
    transpositions: Sequence[int] = TRANSPOSITIONS_SEMITONES,
) -> list[BuildLogRow]:
    """Render the first `piece_count` pieces of the corpus into `folder`, or complete them.

    Args:
        folder: folder of the excerpts and the audio. It must be used for these settings only.
        settings: rendering settings.
        piece_count: number of pieces, each of which gives a clip for each transposition.
        soundfonts: the SF2 files. The settings contain their digests.
        workers: number of processes. With 1, all work is done in the current process.
        transpositions: semitones of the clips of a piece, of `TRANSPOSITIONS_SEMITONES`.

    Returns:
        One row for each piece that was considered, in order. All clips of the rows with a split exist.

    Raises:
        InvalidInput: if there are fewer usable pieces than `piece_count`.
    """
    queues = {genre: _shuffle(list_pieces(genre), settings) for genre in GENRES}
    _check_enough(piece_count, sum(map(len, queues.values())), "before short pieces and duplicates are left out")
    with _process_pool(workers) as run:
        selection = _select_pieces(queues, folder / "excerpts", settings, piece_count, run)
        if not selection.complete:
            _check_enough(piece_count, len(selection.used), "after short pieces and duplicates are left out")
        _render_pieces(selection.used, folder / "audio", settings, soundfonts, transpositions, run)
    return [_row(verdict) for verdict in selection.verdicts]


def _shuffle(pieces: list[Piece], settings: RenderingSettings) -> list[Piece]:
    if pieces:
        settings.random_for(pieces[0].genre, "order").shuffle(pieces)
    return pieces


def _check_enough(piece_count: int, available: int, when: str) -> None:
    clips = len(TRANSPOSITIONS_SEMITONES)
    if piece_count > available:
        raise InvalidInput(
            f"{piece_count * clips} clips were requested ({piece_count} pieces in {clips} transpositions), but the "
            f"corpus of music21 has {available * clips} ({available} pieces) {when}. Use --clips {available * clips} "
            f"or fewer"
        )


def _select_pieces(
    queues: Mapping[str, Sequence[Piece]],
    folder: Path,
    settings: RenderingSettings,
    piece_count: int,
    run: MapOverTasks,
) -> Selection:
    """Cut excerpts until enough pieces are usable.

    Each pass cuts a tenth more pieces per genre than are missing, so that one or two passes are enough.
    """
    available = {genre: len(queue) for genre, queue in queues.items()}
    candidates: dict[str, list[Candidate]] = {genre: [] for genre in queues}
    selection = Selection()
    while not selection.complete and len(selection.exhausted) < len(queues):
        remaining = [genre for genre in queues if genre not in selection.exhausted]
        more = (piece_count - len(selection.used)) * 11 // 10 // len(remaining) + 2
        batch = [piece for genre in remaining for piece in queues[genre][len(candidates[genre]) :][:more]]
        for candidate in _cut_all(batch, folder, settings, run):
            candidates[candidate.piece.genre].append(candidate)
        selection = select(candidates, available, piece_count)
    return selection


def _cut_all(
    batch: Sequence[Piece], folder: Path, settings: RenderingSettings, run: MapOverTasks
) -> Iterator[Candidate]:
    paths = [folder / f"{piece.name}.json" for piece in batch]
    tasks = [(piece, path, settings) for piece, path in zip(batch, paths, strict=True) if not path.exists()]
    for _ in _progress(run(_cut_one, tasks), len(tasks), "reading scores"):
        pass
    return (Candidate(piece, load_excerpt(path)) for piece, path in zip(batch, paths, strict=True))


def _cut_one(task: tuple[Piece, Path, RenderingSettings]) -> None:
    piece, path, settings = task
    cut_excerpt(piece, settings).save(path)


def _render_pieces(
    used: Sequence[CandidateVerdict],
    folder: Path,
    settings: RenderingSettings,
    soundfonts: Sequence[Path],
    transpositions: Sequence[int],
    run: MapOverTasks,
) -> None:
    # Sorted by program, so that the synthesizer makes the tones of a program once.
    candidates = sorted((verdict.candidate for verdict in used), key=lambda candidate: candidate.excerpt.program)
    tasks = [
        (candidate.excerpt, folder / candidate.piece.name, settings, soundfonts, transpositions)
        for candidate in candidates
        if not _is_complete(folder / candidate.piece.name, transpositions)
    ]
    for _ in _progress(run(_render_one, tasks), len(tasks), "rendering pieces"):
        pass


def _render_one(task: tuple[Excerpt, Path, RenderingSettings, Sequence[Path], Sequence[int]]) -> int:
    return write_clips(*task)


def _is_complete(folder: Path, transpositions: Sequence[int]) -> bool:
    return all((folder / clip_name(semitones)).is_file() for semitones in transpositions)


def _progress(results: Iterable[Any], total: int, description: str) -> Iterable[Any]:
    return Progress(results, desc=description, total=total, disable=None if total else True)


@contextlib.contextmanager
def _process_pool(workers: int) -> Iterator[MapOverTasks]:
    """Yield a `map` that runs in several processes, or the builtin `map` for one worker.

    Processes are spawned, because a forked child would inherit locks that threads of the parent hold.
    """
    if workers == 1:
        yield map
        return
    executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield lambda function, tasks: executor.map(function, tasks, chunksize=4)
    finally:
        executor.shutdown(cancel_futures=True)


def _row(verdict: CandidateVerdict) -> BuildLogRow:
    piece, excerpt = verdict.candidate.piece, verdict.candidate.excerpt
    return BuildLogRow(
        genre=piece.genre,
        slug=piece.slug,
        group=verdict.group,
        split=verdict.split,
        refusal=verdict.refusal,
        program=str(excerpt.program),
        key=excerpt.key,
        key_reason=excerpt.key_reason,
    )
