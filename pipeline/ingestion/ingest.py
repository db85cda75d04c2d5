"""The work of `python -m pipeline.ingest`: list a dataset's recordings, plan, state the resources, decode, report.

An ingest that was interrupted goes on where it stopped. New files of a folder are added to its store.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.audio.remote import AudioPath
from pipeline.cluster.client import connect, count_threads, is_local
from pipeline.cluster.machine import IDLE_WORKER_BYTES, available_bytes
from pipeline.datasets import (
    audioset,
    dataset_root,
    demo,
    emomusic,
    fma,
    folder,
    giantsteps,
    giantsteps_key,
    giantsteps_mtg,
    gtzan,
    magnatagatune,
    mirdata_loaders,
    mtg_jamendo,
    transposition,
)
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from pipeline.ingestion import mel_definition, shared_recordings, summary
from pipeline.ingestion.build import Build
from pipeline.ingestion.config import DatasetName, IngestSettings
from pipeline.ingestion.log import log_to_file
from pipeline.ingestion.plan import count_clips_at_limit
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.resources import ResourceEstimate, clips_of, estimate_resources, peak_bytes
from pipeline.ingestion.summary import IngestSummary
from stores import locations, object_storage, remote_link
from stores.commit import remove_temporary_files
from stores.errors import InvalidInput
from stores.json_output import print_json
from stores.labels import count_noun
from stores.lock import write_lock
from stores.mel_store import MelStore
from stores.remote_copy import RemoteCopy

LOG = logging.getLogger("pipeline.ingest")


def ingest(settings: IngestSettings) -> None:
    """Decode the recordings of a dataset to a mel store and print a summary.

    Raises:
        MynaError: the dataset is not there, the store has other settings, or the work does not fit into memory.
    """
    mel_definition.mel_spec(settings.mel)  # a mel that cannot be computed is rejected before anything is listed
    path, copy = _store_and_copy(settings)
    start, progress = time.perf_counter(), IngestProgress()
    root = dataset_root.locate(settings.collection, settings.root)
    with contextlib.ExitStack() as stack:
        if not settings.dry_run:
            stack.enter_context(write_lock(path))
            remove_temporary_files(path)
            stack.enter_context(log_to_file(_log_path(path)))
        if copy is not None:
            copy.require_replaceable()
        listing = _LISTINGS[settings.dataset](root, settings)
        found = f"  found: {count_noun(len(listing.tracks), 'clip')}"
        _report([f"{settings.collection} below {root}:", found, *listing.lines()])
        store = _build_store(_build(settings, root, path, listing), listing, settings, progress)
        if store is not None:
            results = _report_results(store, listing, progress, time.perf_counter() - start)
            _report(shared_recordings.require_separate(store))
            copied = {} if copy is None else _update_copy(copy)
            if settings.json:
                print_json({"store": str(store.path), **asdict(results), **copied})


def _store_and_copy(settings: IngestSettings) -> tuple[Path, RemoteCopy | None]:
    """Return the path of the mel store, and its copy in object storage if a URL was stated.

    Raises:
        InvalidInput: no mel store can be at the URL.
    """
    if settings.store is None or not remote_link.is_url(settings.store):
        if settings.store and settings.store.partition(":/")[0] in object_storage.SCHEMES:
            raise InvalidInput(f"{settings.store} is neither a path nor a URL; URLs have two slashes after the colon")
        return Path(settings.store or locations.mel_store(settings.collection)), None
    name = remote_link.split(settings.store)[1]
    if not name.endswith(locations.STORE_SUFFIX):
        raise InvalidInput(f"an ingest writes a mel store; state NAME{locations.STORE_SUFFIX} (got {settings.store})")
    path = locations.mel_store(name.removesuffix(locations.STORE_SUFFIX))
    return path, RemoteCopy(path, settings.store)


def _update_copy(copy: RemoteCopy) -> dict[str, Any]:
    """Update a copy, print what was written, and return it for `--json`."""
    work = copy.update()
    removed = f", {count_noun(work.removed, 'file')} removed" if work.removed else ""
    written = f"{count_noun(work.written, 'file')} written ({work.written_bytes / 1e6:.1f} MB)"
    _report([f"{copy.url}: {written}, {work.unchanged} already there{removed}"])
    return {"copy": {"url": copy.url, **asdict(work)}}


def _log_path(store: Path) -> Path:
    return locations.beside_store(store, ".ingest.log")


def _build(settings: IngestSettings, root: AudioPath, path: Path, listing: Listing) -> Build:
    spec = mel_definition.mel_spec(settings.mel)
    return Build(
        settings.collection,
        root,
        path,
        spec,
        mel_definition.quantizer(settings.dtype, spec),
        limits=settings.limits,
        keeps_silence=listing.keeps_silence,
        resampler=settings.mel.resampler_name,
    )


def _build_store(build: Build, listing: Listing, settings: IngestSettings, progress: IngestProgress) -> MelStore | None:
    """Return the finished store, or None after a dry run."""
    cluster = settings.cluster
    with connect(cluster.scheduler, cluster.workers, tls=cluster.tls) as client:
        lists_all = settings.limit is None and listing.is_complete
        listed = listing.tracks if settings.limit is None else listing.tracks[: settings.limit]
        tracks, notes = _with_copies(listed, settings), list[str]()
        rows = build.plan_manifest(tracks, client, settings.retry_refused, lists_all, notes.extend)
        regions, workers = build.remaining_regions(rows), count_threads(client)
        estimate = estimate_resources(rows, build.spec, build.quantizer, build.grid, regions)
        # the workers of a workflow import what the workflow imports, above all PyTorch
        excess = max(0, max(client.run(peak_bytes).values(), default=0) - IDLE_WORKER_BYTES)
        estimate = replace(estimate, worker_bytes=estimate.worker_bytes + excess)
        longest = count_clips_at_limit(rows.take(clips_of(regions)), build.spec, build.limits)
        _report([f"{build.path}:", *notes, *_estimate_lines(estimate, workers, longest, build.limits.max_seconds)])
        if is_local(cluster.scheduler):  # the memory of other machines is unknown here
            estimate.require_memory(available_bytes(), workers)
        if settings.dry_run:
            return None
        store = build.create_or_update(rows)
        try:
            build.run(store, client, progress)
        except KeyboardInterrupt:
            finished = int((~store.merged_rows().in_state("planned")).sum())
            _report([f"{build.path}:", f"  finished so far: {finished} of {len(rows)} clips"])
            raise
        if settings.prune:
            _report([f"  removed: {count_noun(build.prune(store), 'clip')} no longer listed"])
        return store


def _with_copies(tracks: Sequence[Track], settings: IngestSettings) -> Sequence[Track]:
    if settings.transpose == 1:
        return tracks
    copied = transposition.with_copies(tracks, settings.transpose, settings.transpose_all)
    steps = transposition.steps(settings.transpose)
    added = count_noun(len(copied) - len(tracks), "transposed clip")
    _report([f"  {added} by {steps[0]:+d} to {steps[-1]:+d} semitones"])
    return copied


def _estimate_lines(estimate: ResourceEstimate, workers: int, longest: int, max_seconds: float) -> list[str]:
    if not estimate.clips:
        return ["  nothing to do: every clip is in the store already"]
    unknown = f"  of unknown or too great a length: {longest} of them, counted as {max_seconds:g} s (--max-seconds)"
    return [
        f"  to do: {count_noun(estimate.clips, 'clip')}, at most {estimate.audio_seconds / 3600:.2f} h of audio, "
        f"in {count_noun(estimate.regions, 'task')} on {count_noun(workers, 'worker')}",
        *([unknown] if longest else []),
        f"  needs: about {estimate.store_bytes / 1e6:.1f} MB on disk, "
        f"at most {estimate.worker_bytes / 1e6:.0f} MB a worker",
    ]


def _report_results(store: MelStore, listing: Listing, progress: IngestProgress, seconds: float) -> IngestSummary:
    results = summary.summarize(store, listing.all_counts(), seconds, progress.peak_bytes)
    if progress.peak_bytes or not (store.path / summary.REPORT).exists():  # without work there are no news
        results.write(store.path)
    warnings, rejections = summary.warning_lines(store.rows), summary.rejection_lines(store.rows)
    for line in (*warnings, *rejections):
        LOG.warning(line)
    _report([f"{store.path}:", *results.lines()])
    for lines in (warnings, rejections):
        for line in lines[: summary.MAX_SHOWN_LINES]:
            print(f"  {line}")
        if len(lines) > summary.MAX_SHOWN_LINES:
            print(f"  ... and {len(lines) - summary.MAX_SHOWN_LINES} more, all in {_log_path(store.path)}")
    return results


def _report(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, flush=True)
        LOG.info(line)


_LISTINGS: dict[DatasetName, Callable[[AudioPath, IngestSettings], Listing]] = {
    "audioset": lambda root, settings: audioset.tracks(
        dataset_root.require_local(root),
        segments=settings.audioset.segments,
        ontology=settings.audioset.ontology,
        subset=settings.audioset.subset,
    ),
    "gtzan": lambda root, settings: gtzan.tracks(root, settings.benchmark.splits),
    "magnatagatune": lambda root, settings: magnatagatune.tracks(root, settings.benchmark.splits),
    "giantsteps": lambda root, settings: giantsteps.tracks(root, settings.benchmark.splits),
    "giantsteps_key": lambda root, settings: giantsteps_key.tracks(root, settings.metadata.metadata),
    "giantsteps_mtg": lambda root, settings: giantsteps_mtg.tracks(root, settings.metadata.metadata),
    "emomusic": lambda root, settings: emomusic.tracks(root, settings.benchmark.splits),
    "mtg_jamendo": lambda root, settings: mtg_jamendo.tracks(
        root, settings.metadata.metadata, settings.metadata.split_number
    ),
    "fma": lambda root, settings: fma.tracks(root, settings.metadata.metadata),
    "mirdata": lambda root, settings: mirdata_loaders.tracks(
        dataset_root.require_local(root), settings.mirdata.dataset
    ),
    "folder": lambda root, settings: folder.tracks(root, settings.folder.labels, settings.folder.id_column),
    "demo": lambda root, settings: demo.tracks(
        dataset_root.require_local(root),
        settings.demo.clips,
        settings.demo.seed,
        settings.demo.programs,
        soundfonts=settings.demo.soundfont,
        as_written=settings.demo.as_written,
    ),
}
