"""`python -m pipeline.ingest DATASET`: audio files become a mel store.

Finds the tracks, plans, states what the work needs, runs it on Dask, tells what became of it. Started again, it goes on
where it stopped; a folder that has grown gets its new files added.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.cluster import connect, is_local, workers_of
from pipeline.datasets import audioset, demo, emomusic, folder, giantsteps, gtzan, magnatagatune
from pipeline.datasets.listing import Listing
from pipeline.ingestion import summary
from pipeline.ingestion.build import Build
from pipeline.ingestion.log import logged
from pipeline.ingestion.plan import Limits, counted_as_longest
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.resources import (
    STARTED_WORKER_BYTES,
    ResourceEstimate,
    available_bytes,
    estimate_resources,
    peak_bytes,
)
from stores import locations
from stores.commit import remove_temporary_files
from stores.errors import InvalidInput, exit_status
from stores.labels import count_noun
from stores.lock import locked
from stores.mel_store import MelStore
from stores.quantize import Quantizer

LOG = logging.getLogger("pipeline.ingest")  # not __name__, which is __main__ for a command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _ingest(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.ingest", description="Audio files become a mel store.")
    parser.add_argument("dataset", choices=tuple(_LISTINGS), help="what to read (layouts: docs/datasets.md)")
    parser.add_argument(
        "--root", type=Path, help="folder with the audio (default: $MYNA_DATA/DATASET, else data/DATASET)"
    )
    parser.add_argument("--store", type=Path, help="mel store to make or go on with (default: stores/DATASET.zarr)")
    parser.add_argument("--limit", type=int, help="read the first so many clips only; a later run adds the rest")
    parser.add_argument("--dtype", default="uint8", help="uint8 or uint16 codes of log power, or float32 power (uint8)")
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="longest audio per track, seconds (3600)")
    parser.add_argument("--decode-seconds", type=float, default=300.0, help="longest decoding per track, seconds (300)")
    parser.add_argument("--scheduler", default="processes", help="processes, threads or tcp://HOST:PORT (processes)")
    parser.add_argument("--workers", type=int, help="processes or threads to start (default: one a core)")
    parser.add_argument("--retry-refused", action="store_true", help="read refused clips again, e.g. mended files")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and needed, then stop")
    _add_dataset_options(parser)
    return parser


def _add_dataset_options(parser: argparse.ArgumentParser) -> None:
    official = parser.add_argument_group("audioset")
    official.add_argument("--segments", type=Path, nargs="+", help="official CSV files or their folder (below --root)")
    official.add_argument("--ontology", type=Path, help="ontology.json (below --root)")
    official.add_argument("--subset", default="music", choices=("music", "all"), help="which segments (music)")
    benchmarks = parser.add_argument_group("gtzan, magnatagatune, giantsteps, emomusic")
    benchmarks.add_argument("--splits", type=Path, help="folder with JukeMIR's split files (default: fetched, checked)")
    own = parser.add_argument_group("folder")
    own.add_argument("--labels", type=Path, help="CSV with the columns path, split, group; all others are labels")
    corpus = parser.add_argument_group("demo", "the demo corpus is rendered under --root first")
    corpus.add_argument("--clips", type=int, default=1200, help="clips of 10 s to render (1200)")
    corpus.add_argument("--programs", type=int, nargs="+", default=[0], help="General MIDI programs, 0-127 (0: piano)")
    corpus.add_argument("--seed", type=int, default=0, help="which pieces and excerpts (0)")


def _ingest(options: argparse.Namespace) -> None:
    path = options.store or locations.mel_store(options.dataset)
    if options.limit is not None and options.limit < 1:
        raise InvalidInput(f"--limit is {options.limit}; it must be at least 1")
    start, progress = time.perf_counter(), IngestProgress()
    root = (options.root or locations.data_root(options.dataset)).resolve()
    log = path.with_suffix(".ingest.log")
    with contextlib.ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(locked(path))
            remove_temporary_files(path)  # what killed ones left
            stack.enter_context(logged(log))
        listing = _LISTINGS[options.dataset](root, options)
        _tell(
            [
                f"{options.dataset} below {root}:",
                f"  found: {count_noun(len(listing.tracks), 'clip')}",
                *listing.lines(),
            ]
        )
        store = _build(_building(options, root, path, listing), listing, options, progress)
        if store is None:
            return
        told = summary.summarise(store, listing.counts, time.perf_counter() - start, progress.peak_bytes)
        if progress.peak_bytes or not (path / summary.REPORT).exists():  # with nothing to do there is no news
            told.write(path)
        refused = summary.refusals(store.rows)
        for line in refused:
            LOG.warning(line)
        _tell([f"{path}:", *told.lines()])
        for line in refused[: summary.SHOWN_REFUSALS]:
            print(f"  {line}")
        if len(refused) > summary.SHOWN_REFUSALS:
            print(f"  ... and {len(refused) - summary.SHOWN_REFUSALS} more, all in {log}")


def _building(options: argparse.Namespace, root: Path, path: Path, listing: Listing) -> Build:
    return Build(
        options.dataset,
        root,
        path,
        quantizer=Quantizer.of_dtype(options.dtype),
        limits=Limits(options.max_seconds, options.decode_seconds),
        keeps_silence=listing.keeps_silence,
    )


def _build(building: Build, listing: Listing, options: argparse.Namespace, progress: IngestProgress) -> MelStore | None:
    """The finished store; None after a dry run."""
    with connect(options.scheduler, options.workers) as client:
        rows = building.planned_rows(listing.tracks[: options.limit], client, options.retry_refused)
        stated, workers = estimate_resources(rows, building.spec, building.quantizer), workers_of(client)
        # a workflow's workers import what the workflow imports, PyTorch above all
        beyond = max(0, max(client.run(peak_bytes).values(), default=0) - STARTED_WORKER_BYTES)
        stated = replace(stated, worker_bytes=stated.worker_bytes + beyond)
        longest = counted_as_longest(rows, building.spec, building.limits)
        _tell([f"{building.path}:", *_need_lines(stated, workers, longest, options.max_seconds)])
        if is_local(options.scheduler):  # the memory of other machines is not ours to look at
            stated.require_memory(available_bytes(), workers)
        if options.dry_run:
            return None
        store = building.create_or_update(rows)
        try:
            building.run(store, client, progress)
        except KeyboardInterrupt:
            done = sum(row.state != "planned" for row in store.merged_rows())
            _tell([f"{building.path}:", f"  finished so far: {done} of {len(rows)} clips"])
            raise
        return store


def _need_lines(stated: ResourceEstimate, workers: int, longest: int, max_seconds: float) -> list[str]:
    if not stated.clips:
        return ["  every clip is there already"]
    told = f"  of no stated length, or a longer one: {longest} of them, counted as {max_seconds:g} s (--max-seconds)"
    return [
        f"  to do: {count_noun(stated.clips, 'clip')}, at most {stated.audio_seconds / 3600:.2f} h of audio, "
        f"in {count_noun(stated.regions, 'task')} on {count_noun(workers, 'worker')}",
        *([told] if longest else []),
        f"  needs: about {stated.store_bytes / 1e6:.1f} MB on disk, "
        f"at most {stated.worker_bytes / 1e6:.0f} MB a worker",
    ]


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, flush=True)
        LOG.info(line)


_LISTINGS: dict[str, Callable[[Path, argparse.Namespace], Listing]] = {
    "audioset": lambda root, options: audioset.tracks(
        root, segments=options.segments, ontology=options.ontology, subset=options.subset
    ),
    "gtzan": lambda root, options: gtzan.tracks(root, options.splits),
    "magnatagatune": lambda root, options: magnatagatune.tracks(root, options.splits),
    "giantsteps": lambda root, options: giantsteps.tracks(root, options.splits),
    "emomusic": lambda root, options: emomusic.tracks(root, options.splits),
    "folder": lambda root, options: folder.tracks(root, options.labels),
    "demo": lambda root, options: demo.tracks(root, options.clips, options.seed, tuple(options.programs)),
}


if __name__ == "__main__":
    sys.exit(main())
