"""The build of a mel store: plan the clips of a listing, run one task for each region, and record the results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from distributed import Client
from numpy.typing import NDArray

from pipeline.audio import source
from pipeline.audio.decode import file_digest, preprocessing
from pipeline.audio.remote import AudioPath
from pipeline.cluster.client import count_threads
from pipeline.cluster.tasks import run_all
from pipeline.datasets.track import CUT_SLACK_SECONDS, Track
from pipeline.ingestion import plan, region_task, relisting, replaced_files, store_folder
from pipeline.ingestion.config import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.region_task import RegionTask
from pipeline.ingestion.subprocess_decode import GRACE_SECONDS
from pipeline.ingestion.watchdog import time_limit
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import DecodeError, DigestMismatch
from stores.manifest import ClipRow, ClipRows
from stores.mel_flags import DEFAULT_RESAMPLER, ResamplerName
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.progress import Progress
from stores.quantize import Quantizer

HEADERS_PER_TASK = 64
"""Number of media headers that one task inspects."""
MOVED_ROOT_SAMPLE_FILES = 16
"""Number of files that are compared to decide whether a folder holds the audio of a store."""


@dataclass(frozen=True)
class Build:
    """The creation or completion of one mel store."""

    dataset: str
    """Name of the dataset."""
    root: AudioPath
    """Absolute folder, or URL on remote storage, that contains the files of all tracks."""
    path: Path
    """Folder of the store."""
    spec: MelSpec = field(default_factory=MelSpec)
    """Mel specification."""
    quantizer: Quantizer = field(default_factory=Quantizer)
    """Mapping from mel power to stored codes."""
    grid: ChunkGrid = field(default_factory=ChunkGrid)
    """Chunks and Zarr shards of the frame axis."""
    limits: Limits = field(default_factory=Limits)
    """Limits of the length and the decoding time of a recording."""
    keeps_silence: bool = False
    """Store silent clips and flag them. If false, silent clips are rejected."""
    resampler: ResamplerName = DEFAULT_RESAMPLER
    """Conversion of the sample rate."""

    @property
    def cut_slack_seconds(self) -> float:
        """Seconds by which a recording may be longer than its clip and still be the clip, already cut. 0: never."""
        return CUT_SLACK_SECONDS.get(self.dataset, 0.0)

    def settings(self) -> dict[str, Any]:
        """Return the attributes of the store. A build continues an existing store only if all but `root` are equal."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "mel_spec": self.spec.to_dict(),
            "quantizer": self.quantizer.to_dict(),
            "preprocessing": preprocessing(self.resampler),
            "keeps_silence": self.keeps_silence,
        }

    def plan_manifest(
        self,
        tracks: Sequence[Track],
        client: Client,
        retry_rejected: bool = False,
        lists_all: bool = True,
        report: Callable[[list[str]], None] = lambda _: None,
    ) -> ClipRows:
        """Return the manifest of all clips: rows of earlier ingests keep their places, and new rows get new regions.

        The labels, the split and the group of a clip come from `tracks`, also for clips that are already stored. A clip
        whose file holds another recording now is planned again.

        Args:
            tracks: tracks of the dataset.
            client: client of the cluster that inspects headers.
            retry_rejected: plan rejected clips again, if `tracks` still lists them.
            lists_all: `tracks` are all tracks of the dataset, so that the clips of other files become unlisted.
            report: function that gets lines about the clips that the new listing changes.

        Raises:
            InvalidInput: there are no tracks, or two tracks have the same id.
            DigestMismatch: the store was made with other settings, or from another folder.
        """
        listed = plan.plan_rows(tracks, self.root)
        rows = ClipRows.of(())
        if store_folder.has_store(self.path):
            rows, clips = self._relist(listed, client, lists_all, report)
            retried = np.flatnonzero(_can_be_retried(rows, listed)) if retry_rejected else clips
            again = np.union1d(clips, retried)
            rows = self.plan_again(relisting.with_listed_cuts(rows, listed, again), again, client)
        return self._add_new(rows, listed, tracks, client)

    def _relist(
        self, listed: ClipRows, client: Client, lists_all: bool, report: Callable[[list[str]], None]
    ) -> tuple[ClipRows, NDArray[np.int64]]:
        """Return the rows of the store as the new listing changes them, and the indices of clips to decode again."""
        store = self._existing_store(listed)
        before, decoded = store.rows, store.merged_rows()
        positions = listed.index_of(before.column("id"))
        stored = np.flatnonzero(decoded.has_frames() & (positions >= 0))
        changes = replaced_files.find(decoded.take(stored), listed.take(positions[stored]), self.root, client)
        rows = relisting.apply(before, listed, positions, lists_all, changes)
        report(relisting.change_lines(before, rows, changes))
        return rows, relisting.clips_to_decode(before, rows, changes)

    def _add_new(self, rows: ClipRows, listed: ClipRows, tracks: Sequence[Track], client: Client) -> ClipRows:
        """Return `rows` and, after them, the listed clips that are not among them."""
        new = np.flatnonzero(rows.index_of(listed.column("id")) < 0)
        if not len(new):
            return rows
        added = listed.take(new).with_columns(index=len(rows) + np.arange(len(new)))
        planned = np.flatnonzero(added.in_state("planned"))
        bounds = self._bounds(tracks, new[planned], client)
        return self._assign_regions(ClipRows.concat([rows, added]), len(rows) + planned, bounds)

    def plan_again(self, rows: Iterable[ClipRow], clips: Sequence[int] | NDArray[np.int64], client: Client) -> ClipRows:
        """Return `rows` with some clips planned as if they were new, in regions after all others.

        Args:
            rows: all rows of the manifest.
            clips: indices `[clips]` of the clips to decode again; they keep their labels, split and group.
            client: client of the cluster that inspects headers.
        """
        existing = ClipRows.of(rows)
        if not len(clips):
            return existing
        again = ClipRows.of(manifest.reset_to_planned(row) for row in existing.take(clips))
        bounds = self._bounds([self._track(row) for row in again], np.arange(len(again)), client)
        return self._assign_regions(existing.with_rows(clips, again), clips, bounds)

    def _assign_regions(
        self, rows: ClipRows, clips: Sequence[int] | NDArray[np.int64], bounds: NDArray[np.int64]
    ) -> ClipRows:
        bound_frames = np.zeros(len(rows), np.int64)
        bound_frames[np.asarray(clips, np.int64)] = bounds
        return plan.assign_new_regions(rows, bound_frames, self.grid)

    def create_or_update(self, rows: ClipRows) -> MelStore:
        """Create the store, or update it, so that its manifest is `rows`."""
        if not store_folder.has_store(self.path):
            return MelStore.create(self.path, rows, self.settings(), self.grid)
        store = MelStore.open(self.path, complete=False)
        if rows != store.rows:
            store.update(plan.replan(manifest.merge(rows, store.merged_rows()), self.grid))
        if store.attributes["root"] != str(self.root):
            store.move_root(str(self.root))
        store.extend_axis()
        return store

    def remaining_regions(self, rows: ClipRows) -> list[Region]:
        """Return the planned regions of `rows` that an interrupted ingest has not finished."""
        regions = manifest.planned_regions(rows)
        if not store_folder.has_store(self.path):
            return regions
        store = MelStore.open(self.path, complete=False)
        return [region for region in regions if not store.is_finished(region)]

    def run(self, store: MelStore, client: Client, progress: IngestProgress) -> ClipRows:
        """Decode all planned clips in rounds, and return the rows of the finished store.

        Clips that are longer than their headers claim do not fit into their regions and are decoded in a second round.
        Such a clip gets a new region before its round ends, because the old region holds its neighbors.
        """
        while regions := manifest.planned_regions(store.rows):
            self._run_round(store, [region for region in regions if not store.is_finished(region)], client, progress)
            store.update(plan.replan(store.merged_rows(), self.grid))
        return store.rows

    def prune(self, store: MelStore) -> int:
        """Remove the unlisted rows of a finished store and the frames that no other clip needs.

        The remaining clips are numbered again. The digests of the store change, so shards and features that state the
        earlier indices are recognized as made before.

        Returns:
            The number of removed rows.
        """
        kept = store.rows.take(np.flatnonzero(~store.rows.in_state("unlisted")))
        removed = len(store) - len(kept)
        if removed:
            store.update(kept.with_columns(index=np.arange(len(kept))))
        store.free_unused_frames()
        return removed

    def _existing_store(self, listed: ClipRows) -> MelStore:
        store = MelStore.open(self.path, complete=False)
        store.require_settings({key: value for key, value in self.settings().items() if key != "root"})
        if store.attributes["root"] != str(self.root):
            self._require_same_audio(store, listed)
        return store

    def _track(self, row: ClipRow) -> Track:
        """Return the track of a row, with the fields that matter for the upper bound of its frames."""
        return Track(
            row.id,
            self.root / row.source,
            row.group,
            member=row.member,
            cut_start_seconds=row.cut_start_seconds,
            cut_seconds=row.cut_seconds,
            bound_seconds=row.cut_seconds + self.cut_slack_seconds if row.cut_seconds else 0.0,
            semitones=row.semitones,
        )

    def _require_same_audio(self, store: MelStore, listed: ClipRows) -> None:
        """Check that the audio of a store, which was made from another folder, is now below `root`."""
        written = store.rows.take(np.flatnonzero(store.rows.in_state("written")))
        present = written.take(np.flatnonzero(listed.index_of(written.column("id")) >= 0))
        sample = present if len(present) else written  # without any clip of the store, it is another folder
        for row in sample[:: max(1, len(sample) // MOVED_ROOT_SAMPLE_FILES)]:
            try:
                with source.open_audio(self.root / row.source, row.member) as path:
                    is_same = file_digest(path) == row.source_digest
            except DecodeError:
                is_same = False
            if not is_same:
                raise DigestMismatch(
                    f"{self.path} was made from {store.attributes['root']}, and {self.root} does not hold the same "
                    f"{row.source}; choose another --store for another folder"
                )

    def _bounds(self, tracks: Sequence[Track], chosen: NDArray[np.int64], client: Client) -> NDArray[np.int64]:
        """Return an upper bound of the frames of each chosen track. The cluster inspects headers, many in each task."""
        wanted = tracks if len(chosen) == len(tracks) else (tracks[position] for position in chosen.tolist())
        stated = (plan.stated_bound_frames(track, self.spec) for track in wanted)
        bounds = np.fromiter(stated, np.int64, len(chosen))
        unknown = np.flatnonzero(bounds == 0)
        batches = [unknown[i : i + HEADERS_PER_TASK] for i in range(0, len(unknown), HEADERS_PER_TASK)]
        task = partial(_inspect, spec=self.spec, limits=self.limits)
        after_death = partial(task, in_process=False)
        arguments = ([(place, tracks[int(chosen[place])]) for place in batch.tolist()] for batch in batches)
        for inspected in _with_bar(run_all(client, task, arguments, after_death), len(batches), "headers"):
            for position, bound in inspected.items():
                bounds[position] = bound
        return bounds

    def _run_round(self, store: MelStore, regions: Sequence[Region], client: Client, progress: IngestProgress) -> None:
        tasks = (
            RegionTask(
                self.path.absolute(),
                self.root,
                region,
                tuple(store.rows.take(region.clips)),
                self.limits,
                self.keeps_silence,
                self.cut_slack_seconds,
            )
            for region in regions
        )
        clips, work = (
            sum(len(region.clips) for region in regions),
            plan.work_of(regions, store.rows, self.spec, self.limits),
        )
        with progress.round(clips, work, count_threads(client)):
            for result in run_all(client, region_task.run, tasks, region_task.run_in_subprocesses):
                progress.add(result, self.spec.seconds_for(result.frames))


def _can_be_retried(rows: ClipRows, listed: ClipRows) -> NDArray[np.bool_]:
    has_bad_name = pc.equal(rows.column("reason"), "bad_name").to_numpy()  # a file that was renamed is another clip
    can_be_retried: NDArray[np.bool_] = rows.in_state("refused") & ~has_bad_name
    return can_be_retried & (listed.index_of(rows.column("id")) >= 0)


def _inspect(
    batch: Sequence[tuple[int, Track]], spec: MelSpec, limits: Limits, in_process: bool = True
) -> Mapping[int, int]:
    bounds = {}
    for position, track in batch:
        limit_seconds = limits.decode_seconds + GRACE_SECONDS
        with time_limit(limit_seconds) if in_process else contextlib.nullcontext():  # a subprocess has its own limit
            bounds[position] = plan.bound_frames(track, spec, limits, in_process)
    return bounds


def _with_bar(results: Iterator[Any], total: int, name: str) -> Any:
    return Progress(results, total=total, desc=name, unit="part", disable=total < 2)
