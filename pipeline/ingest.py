"""`python -m pipeline.ingest DATASET`: audio files become a mel store.

Finds the tracks, plans, states what the work needs, runs it on Dask, tells what became of it. Started again, it goes on
where it stopped; a folder that has grown gets its new files added.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.building import Building
from pipeline.cluster import connect
from pipeline.datasets import demo, folder, gtzan
from pipeline.datasets.track import Track
from pipeline.planning import Limits, Need
from stores import locations, manifest
from stores.errors import InvalidInput, exit_status
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec

NOT_YET = ("audioset", "magnatagatune", "giantsteps", "emomusic")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _ingest(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.ingest", description="Audio files become a mel store.")
    parser.add_argument("dataset", choices=(*_DATASETS, *NOT_YET), help="what to read (see the README for layouts)")
    parser.add_argument(
        "--root", type=Path, help="folder with the audio (default: $MYNA_DATA/DATASET, else data/DATASET)"
    )
    parser.add_argument("--store", type=Path, help="mel store to make or go on with (default: stores/DATASET.zarr)")
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="longest audio per track, seconds (3600)")
    parser.add_argument("--decode-seconds", type=float, default=300.0, help="longest decoding per track, seconds (300)")
    parser.add_argument("--scheduler", default="processes", help="processes, threads or tcp://HOST:PORT (processes)")
    parser.add_argument("--workers", type=int, help="processes or threads to start (default: one a core)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and needed, then stop")
    corpus = parser.add_argument_group("demo", "the demo corpus is rendered under --root first")
    corpus.add_argument("--clips", type=int, default=1200, help="clips of 10 s to render (1200)")
    corpus.add_argument("--programs", type=int, nargs="+", default=[0], help="General MIDI programs, 0-127 (0: piano)")
    corpus.add_argument("--seed", type=int, default=0, help="which pieces and excerpts (0)")
    return parser


def _ingest(options: argparse.Namespace) -> None:
    if options.dataset in NOT_YET:
        raise InvalidInput(
            f"dataset {options.dataset!r} is not built yet; its files can be read with "
            f"`python -m pipeline.ingest folder --root DIR`, without labels and splits"
        )
    start = time.perf_counter()
    root = (options.root or locations.data_root(options.dataset)).resolve()
    tracks = _DATASETS[options.dataset](root, options)
    store = options.store or locations.mel_store(options.dataset)
    limits = Limits(options.max_seconds, options.decode_seconds)
    building = Building(options.dataset, root, store, limits=limits)
    with connect(options.scheduler, options.workers) as client:
        rows = building.planned_rows(tracks, client)
        _tell_need(building.need(rows), store)
        if options.dry_run:
            return
        rows = building.run(building.create_or_update(rows), client)
    _tell_outcome(rows, store, building.spec, time.perf_counter() - start)


def _tell_need(need: Need, store: Path) -> None:
    if not need.clips:
        print(f"{store}: every clip is there already")
        return
    print(
        f"{store}: {need.clips} clips, {need.audio_seconds / 3600:.2f} h of audio at most, {need.regions} tasks; "
        f"at most {need.store_bytes / 1e6:.1f} MB before compression, {need.worker_bytes / 1e6:.0f} MB a worker"
    )


def _tell_outcome(rows: Sequence[ClipRow], store: Path, spec: MelSpec, seconds: float) -> None:
    hours = spec.seconds_for(sum(row.frames for row in rows)) / 3600
    size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(manifest.counts(rows).items()))
    print(f"{store}: {counts}; {hours:.2f} h, {size / 1e6:.1f} MB, {seconds:.1f} s")
    for row in [row for row in rows if row.state == "refused"][:10]:
        print(f"  refused {row.id}: {row.reason}: {row.detail.splitlines()[-1] if row.detail else ''}")


_DATASETS: dict[str, Callable[[Path, argparse.Namespace], list[Track]]] = {
    "demo": lambda root, options: demo.tracks(root, options.clips, options.seed, tuple(options.programs)),
    "folder": lambda root, _: folder.tracks(root),
    "gtzan": lambda root, _: gtzan.tracks(root),
}


if __name__ == "__main__":
    sys.exit(main())
