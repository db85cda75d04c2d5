"""The build of a mel store: plan the clips of a listing, run one task for each region, and record the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client
from tqdm import tqdm

from pipeline.audio import source
from pipeline.audio.decode import file_digest, preprocessing
from pipeline.cluster.tasks import run_all
from pipeline.datasets.track import Track
from pipeline.ingestion import plan, region_task
from pipeline.ingestion.config import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.region_task import RegionTask
from pipeline.ingestion.watchdog import time_limit
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import DecodeError, DigestMismatch
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

HEADERS_PER_TASK = 256
"""Number of media headers that one task inspects."""
MOVED_ROOT_SAMPLE_FILES = 16
"""Number of files that are compared to decide whether a folder holds the audio of a store."""


@dataclass(frozen=True)
class Build:
    """The creation or completion of one mel store."""

    dataset: str
    """Name of the dataset."""
    root: Path
    """Absolute folder that contains the files of all tracks."""
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

    def settings(self) -> dict[str, Any]:
        """Return the attributes of the store. A build continues an existing store only if all but `root` are equal."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "mel_spec": self.spec.to_dict(),
            "quantizer": self.quantizer.to_dict(),
            "preprocessing": preprocessing(),
            "keeps_silence": self.keeps_silence,
        }

    def plan_manifest(self, tracks: Sequence[Track], client: Client, retry_rejected: bool = False) -> list[ClipRow]:
        """Return the manifest of all clips: rows of earlier ingests keep their places, and new rows get new regions.

        The labels, the split and the group of a clip come from `tracks`, also for clips that are already stored.

        Args:
            tracks: all tracks of the dataset.
            client: client of the cluster that inspects headers.
            retry_rejected: plan rejected clips again, if `tracks` still lists them.

        Raises:
            InvalidInput: there are no tracks, or two tracks have the same id.
            DigestMismatch: the store was made with other settings, or from another folder.
        """
        listed = {row.id: row for row in plan.plan_rows(tracks, self.root)}
        rows = [_update_description(row, listed.get(row.id, row)) for row in self._existing_rows()]
        if retry_rejected:
            rejected = [row.index for row in rows if _can_be_retried(row) and row.id in listed]
            rows = self.plan_again(rows, rejected, client)
        known = {row.id for row in rows}
        new = [track for track in tracks if plan.escape_non_utf8(track.id) not in known]
        if not new:
            return rows
        added = plan.plan_rows(new, self.root, first_index=len(rows))
        bounds = self._bounds([track for track, row in zip(new, added, strict=True) if row.state == "planned"], client)
        return self._assign_regions([*rows, *added], [row.index for row in added if row.state == "planned"], bounds)

    def plan_again(self, rows: Sequence[ClipRow], clips: Sequence[int], client: Client) -> list[ClipRow]:
        """Return `rows` with some clips planned as if they were new, in regions after all others.

        Args:
            rows: all rows of the manifest.
            clips: indices of the clips to decode again; they keep their labels, split and group.
            client: client of the cluster that inspects headers.
        """
        replanned = list(rows)
        for clip in clips:
            replanned[clip] = manifest.reset_to_planned(rows[clip])
        bounds = self._bounds([_track(self.root, rows[clip]) for clip in clips], client)
        return self._assign_regions(replanned, clips, bounds)

    def _assign_regions(self, rows: Sequence[ClipRow], clips: Sequence[int], bounds: Sequence[int]) -> list[ClipRow]:
        bound_of = dict(zip(clips, bounds, strict=True))
        return plan.assign_new_regions(rows, [bound_of.get(row.index, 0) for row in rows], self.grid)

    def create_or_update(self, rows: Sequence[ClipRow]) -> MelStore:
        """Create the store, or update it, so that its manifest is `rows`."""
        if not self.path.exists():
            return MelStore.create(self.path, rows, self.settings(), self.grid)
        store = MelStore.open(self.path, complete=False)
        if list(rows) != store.rows:
            store.update(plan.replan(manifest.merge(rows, store.merged_rows()), self.grid))
        if store.attributes["root"] != str(self.root):
            store.move_root(str(self.root))
        store.extend_axis()
        return store

    def run(self, store: MelStore, client: Client, progress: IngestProgress) -> list[ClipRow]:
        """Decode all planned clips in rounds, and return the rows of the finished store.

        Clips that are longer than their headers claim do not fit into their regions and are decoded in a second round.
        Such a clip gets a new region before its round ends, because the old region holds its neighbors.
        """
        while regions := manifest.planned_regions(store.rows):
            self._run_round(store, [region for region in regions if not store.is_finished(region)], client, progress)
            store.update(plan.replan(store.merged_rows(), self.grid))
        return store.rows

    def _existing_rows(self) -> list[ClipRow]:
        if not self.path.exists():
            return []
        store = MelStore.open(self.path, complete=False)
        store.require_settings({key: value for key, value in self.settings().items() if key != "root"})
        if store.attributes["root"] != str(self.root):
            self._require_same_audio(store)
        return store.rows

    def _require_same_audio(self, store: MelStore) -> None:
        """Check that the audio of a store, which was made from another folder, is now below `root`."""
        written = [row for row in store.rows if row.state == "written"]
        for row in written[:: max(1, len(written) // MOVED_ROOT_SAMPLE_FILES)]:
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

    def _bounds(self, tracks: Sequence[Track], client: Client) -> list[int]:
        """Return an upper bound of the frames of each track. The cluster inspects headers, many in each task."""
        bounds = [plan.stated_bound_frames(track, self.spec) for track in tracks]
        unknown = [position for position, bound in enumerate(bounds) if not bound]
        batches = [unknown[i : i + HEADERS_PER_TASK] for i in range(0, len(unknown), HEADERS_PER_TASK)]
        task = partial(_inspect, spec=self.spec, limits=self.limits)
        after_death = partial(task, in_process=False)
        arguments = ([(position, tracks[position]) for position in batch] for batch in batches)
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
                tuple(store.rows[i] for i in region.clips),
                self.limits,
                self.keeps_silence,
            )
            for region in regions
        )
        with progress.round(sum(len(region.clips) for region in regions)):
            for result in run_all(client, region_task.run, tasks, region_task.run_in_subprocesses):
                progress.add(result, self.spec.seconds_for(result.frames))


def _update_description(row: ClipRow, listed: ClipRow) -> ClipRow:
    """Return `row` with the labels of `listed`, and with its file as well if the audio is not stored yet."""
    if row.state != "written":
        row = replace(row, source=listed.source, member=listed.member)
    return replace(row, group=listed.group, split=listed.split, labels=listed.labels)


def _can_be_retried(row: ClipRow) -> bool:
    return row.state == "refused" and row.reason != "bad_name"  # a file that was renamed is another clip


def _track(root: Path, row: ClipRow) -> Track:
    """Return the track of a row, with the fields that matter for the inspection of its header."""
    return Track(
        row.id,
        root / row.source,
        row.group,
        member=row.member,
        cut_start_seconds=row.cut_start_seconds,
        cut_seconds=row.cut_seconds,
    )


def _inspect(
    batch: Sequence[tuple[int, Track]], spec: MelSpec, limits: Limits, in_process: bool = True
) -> Mapping[int, int]:
    bounds = {}
    for position, track in batch:
        with time_limit(limits.decode_seconds):
            bounds[position] = plan.bound_frames(track, spec, limits, in_process)
    return bounds


def _with_bar(results: Iterator[Any], total: int, name: str) -> Any:
    return tqdm(results, total=total, desc=name, unit="batch", disable=total < 2)
