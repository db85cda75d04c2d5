"""From scores to audio over several processes, in a way that can be killed and started again.

    FOLDER/excerpts/GENRE/PIECE.json     every piece that was looked at, so that no score is parsed twice
    FOLDER/audio/GENRE/PIECE/+03.flac    the clips

Every file appears whole or not at all, and what is there is not made again. Parsing costs 20 to 1500 ms a piece,
rendering 100 ms; both use all processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.demo_corpus.build_log import BuildLogRow
from pipeline.demo_corpus.catalog import GENRES, Piece, pieces
from pipeline.demo_corpus.excerpt import Excerpt, cut, load
from pipeline.demo_corpus.rendering_settings import TRANSPOSITIONS_SEMITONES, RenderingSettings
from pipeline.demo_corpus.selection import Candidate, CandidateVerdict, Selection, select
from pipeline.demo_corpus.synthesizer import write_clips
from stores.errors import InvalidInput

MapOverTasks = Callable[..., Iterable[Any]]


def produce(folder: Path, recipe: RenderingSettings, wanted: int, soundfont: Path, workers: int) -> list[BuildLogRow]:
    """Make or complete the first `wanted` pieces of the recipe's corpus in `folder`.

    Args:
        folder: where excerpts and audio lie; belongs to this recipe alone.
        recipe: what to make.
        wanted: pieces, each of twelve clips.
        soundfont: the SF2 file that the recipe names by digest.
        workers: processes; 1 works in this one.

    Returns:
        One row for each piece that was judged, in order; those with a split have all their clips.

    Raises:
        InvalidInput: if there are not as many usable pieces.
    """
    queues = {genre: _shuffled(pieces(genre), recipe) for genre in GENRES}
    _check_enough(wanted, sum(map(len, queues.values())), "even before short pieces and copies are left out")
    with _processes(workers) as run:
        selection = _selection(queues, folder / "excerpts", recipe, wanted, run)
        if not selection.complete:
            _check_enough(wanted, len(selection.used), "once short pieces and copies are left out")
        _render(selection.used, folder / "audio", soundfont, run)
    return [_row(choice) for choice in selection.choices]


def _shuffled(found: list[Piece], recipe: RenderingSettings) -> list[Piece]:
    if found:
        recipe.random_for(found[0].genre, "order").shuffle(found)
    return found


def _check_enough(wanted: int, available: int, when: str) -> None:
    clips = len(TRANSPOSITIONS_SEMITONES)
    if wanted > available:
        raise InvalidInput(
            f"asked for {wanted * clips} clips ({wanted} pieces in {clips} transpositions), but music21's corpus has "
            f"{available * clips} ({available} pieces) {when}; ask for {available * clips} or fewer"
        )


def _selection(
    queues: Mapping[str, Sequence[Piece]], folder: Path, recipe: RenderingSettings, wanted: int, run: MapOverTasks
) -> Selection:
    """Cut pieces until enough of them are usable, a tenth more in each genre than are missing, so one or two rounds."""
    available = {genre: len(queue) for genre, queue in queues.items()}
    candidates: dict[str, list[Candidate]] = {genre: [] for genre in queues}
    selection = Selection()
    while not selection.complete and len(selection.exhausted) < len(queues):
        live = [genre for genre in queues if genre not in selection.exhausted]
        more = (wanted - len(selection.used)) * 11 // 10 // len(live) + 2
        batch = [piece for genre in live for piece in queues[genre][len(candidates[genre]) :][:more]]
        for candidate in _cut_all(batch, folder, recipe, run):
            candidates[candidate.piece.genre].append(candidate)
        selection = select(candidates, available, wanted)
    return selection


def _cut_all(batch: Sequence[Piece], folder: Path, recipe: RenderingSettings, run: MapOverTasks) -> Iterator[Candidate]:
    paths = [folder / f"{piece.name}.json" for piece in batch]
    unknown = [(piece, path, recipe) for piece, path in zip(batch, paths, strict=True) if not path.exists()]
    for _ in _progress(run(_cut_one, unknown), len(unknown), "reading scores"):
        pass
    return (Candidate(piece, load(path)) for piece, path in zip(batch, paths, strict=True))


def _cut_one(task: tuple[Piece, Path, RenderingSettings]) -> None:
    piece, path, recipe = task
    cut(piece, recipe).save(path)


def _render(used: Sequence[CandidateVerdict], folder: Path, soundfont: Path, run: MapOverTasks) -> None:
    by_program = sorted(used, key=lambda choice: choice.candidate.excerpt.program)  # so that tones are made once
    tasks = [(choice.candidate.excerpt, folder / choice.candidate.piece.name, soundfont) for choice in by_program]
    missing = [task for task in tasks if not _finished(task[1])]
    for _ in _progress(run(_render_one, missing), len(missing), "rendering pieces"):
        pass


def _render_one(task: tuple[Excerpt, Path, Path]) -> int:
    return write_clips(*task)


def _finished(folder: Path) -> bool:
    return folder.is_dir() and len(list(folder.glob("[+-]*.flac"))) == len(TRANSPOSITIONS_SEMITONES)


def _progress(results: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return tqdm(results, desc=what, total=total, disable=None if total else True)  # type: ignore[no-any-return]


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[MapOverTasks]:
    """A `map` over processes. They are spawned: a forked child would inherit locks of the parent's threads."""
    if workers == 1:
        yield map
        return
    executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield lambda function, tasks: executor.map(function, tasks, chunksize=4)
    finally:
        executor.shutdown(cancel_futures=True)


def _row(choice: CandidateVerdict) -> BuildLogRow:
    piece, excerpt = choice.candidate.piece, choice.candidate.excerpt
    return BuildLogRow(
        genre=piece.genre,
        slug=piece.slug,
        group=choice.group,
        split=choice.split,
        refusal=choice.refusal,
        program=str(excerpt.program),
        key=excerpt.key,
        key_reason=excerpt.key_reason,
    )
