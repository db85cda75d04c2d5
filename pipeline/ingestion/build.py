"""A listing -> a finished mel store: plan what is new, run one task per region, record it, until nothing is planned."""

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
from pipeline.cluster import run_all
from pipeline.datasets.track import Track
from pipeline.ingestion import plan, region_task
from pipeline.ingestion.plan import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.region_task import RegionTask
from pipeline.ingestion.watchdog import limited
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import DecodeError, DigestMismatch
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

HEADERS_PER_TASK = 256
MOVED_ROOT_SAMPLE_FILES = 16
"""Files looked at to see whether a folder is the one that a store was made from."""


@dataclass(frozen=True)
class Build:
    """One store to be made or completed."""

    dataset: str
    """Name of the dataset."""
    root: Path
    """Absolute folder that the tracks lie under."""
    path: Path
    """The store."""
    spec: MelSpec = field(default_factory=MelSpec)
    """What the mel is."""
    quantizer: Quantizer = field(default_factory=Quantizer)
    """How it is stored."""
    grid: ChunkGrid = field(default_factory=ChunkGrid)
    """How it is cut."""
    limits: Limits = field(default_factory=Limits)
    """What one track may cost."""
    keeps_silence: bool = False
    """Store silent clips and flag them; otherwise they are refused."""

    def settings(self) -> dict[str, Any]:
        """The store's attributes; all but `root` must be the same when a store is gone on with."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "mel_spec": self.spec.to_dict(),
            "quantizer": self.quantizer.to_dict(),
            "preprocessing": preprocessing(),
            "keeps_silence": self.keeps_silence,
        }

    def planned_rows(self, tracks: Sequence[Track], client: Client, retry_refused: bool = False) -> list[ClipRow]:
        """The manifest with every track in it: rows of an earlier run in their places, new ones with new regions.

        What the dataset says of a clip (labels, split, group) is taken from `tracks`, also for clips that are done.

        Args:
            tracks: what the dataset has.
            client: where headers are read.
            retry_refused: plan those of `tracks` again that were refused.

        Raises:
            InvalidInput: no tracks, or two with one id.
            DigestMismatch: the store was made with other settings, or from another folder.
        """
        told = {row.id: row for row in plan.plan_rows(tracks, self.root)}
        rows = [_described(row, told.get(row.id, row)) for row in self._existing_rows()]
        if retry_refused:
            retried = [row.index for row in rows if _may_be_retried(row) and row.id in told]
            rows = self.planned_again(rows, retried, client)
        known = {row.id for row in rows}
        new = [track for track in tracks if plan.escaped(track.id) not in known]
        if not new:
            return rows
        added = plan.plan_rows(new, self.root, first_index=len(rows))
        bounds = self._bounds([track for track, row in zip(new, added, strict=True) if row.state == "planned"], client)
        return self._with_room([*rows, *added], [row.index for row in added if row.state == "planned"], bounds)

    def planned_again(self, rows: Sequence[ClipRow], clips: Sequence[int], client: Client) -> list[ClipRow]:
        """`rows` with some of them planned as if they were new, in regions after all others.

        Args:
            rows: the whole manifest.
            clips: indices of those that are to be read again; what the dataset says of them stays.
            client: where their headers are read.
        """
        again = list(rows)
        for clip in clips:
            again[clip] = manifest.as_unread(rows[clip])
        bounds = self._bounds([_track(self.root, rows[clip]) for clip in clips], client)
        return self._with_room(again, clips, bounds)

    def _with_room(self, rows: Sequence[ClipRow], clips: Sequence[int], bounds: Sequence[int]) -> list[ClipRow]:
        bound_of = dict(zip(clips, bounds, strict=True))
        return plan.with_regions(rows, [bound_of.get(row.index, 0) for row in rows], self.grid)

    def create_or_update(self, rows: Sequence[ClipRow]) -> MelStore:
        """The store on disk with `rows` as its manifest."""
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
        """Work off all that is planned, round by round; a second round is for clips longer than their headers said.

        A clip without room must get a new region before its round counts as over: its old one holds its neighbours.
        """
        while regions := manifest.regions(store.rows):
            self._run_round(store, [region for region in regions if not store.is_finished(region)], client, progress)
            store.update(plan.replan(store.merged_rows(), self.grid))
        return store.rows

    def _existing_rows(self) -> list[ClipRow]:
        if not self.path.exists():
            return []
        store = MelStore.open(self.path, complete=False)
        store.require_settings({key: value for key, value in self.settings().items() if key != "root"})
        if store.attributes["root"] != str(self.root):
            self._require_moved(store)
        return store.rows

    def _require_moved(self, store: MelStore) -> None:
        """Check that this root holds the audio of the store, whose root is another: a moved folder may go on."""
        written = [row for row in store.rows if row.state == "written"]
        for row in written[:: max(1, len(written) // MOVED_ROOT_SAMPLE_FILES)]:
            try:
                with source.opened(self.root / row.source, row.member) as path:
                    same = file_digest(path) == row.source_digest
            except DecodeError:
                same = False
            if not same:
                raise DigestMismatch(
                    f"{self.path} was made from {store.attributes['root']}; {self.root} does not hold the same "
                    f"{row.source}; name another --store for another folder"
                )

    def _bounds(self, tracks: Sequence[Track], client: Client) -> list[int]:
        """Upper bound of frames of each track; headers that must be read are read in batches on the cluster."""
        bounds = [plan.known_bound_frames(track, self.spec) for track in tracks]
        unknown = [number for number, bound in enumerate(bounds) if not bound]
        batches = [unknown[i : i + HEADERS_PER_TASK] for i in range(0, len(unknown), HEADERS_PER_TASK)]
        task = partial(_inspect, spec=self.spec, limits=self.limits)
        careful = partial(task, in_process=False)
        work = ([(number, tracks[number]) for number in batch] for batch in batches)
        for found in _with_bar(run_all(client, task, work, careful), len(batches), "headers"):
            for number, bound in found.items():
                bounds[number] = bound
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
            for outcome in run_all(client, region_task.run, tasks, region_task.run_isolated):
                progress.add(outcome, self.spec.seconds_for(outcome.frames))


def _described(row: ClipRow, told: ClipRow) -> ClipRow:
    """`row` with what its dataset says now; where its audio lies only matters while it is still to be read."""
    if row.state != "written":
        row = replace(row, source=told.source, member=told.member)
    return replace(row, group=told.group, split=told.split, labels=told.labels)


def _may_be_retried(row: ClipRow) -> bool:
    return row.state == "refused" and row.reason != "bad_name"  # a file that was renamed is another clip


def _track(root: Path, row: ClipRow) -> Track:
    """The track that a row was planned from, as far as its header is concerned."""
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
    found = {}
    for number, track in batch:
        with limited(limits.decode_seconds):
            found[number] = plan.bound_frames(track, spec, limits, in_process)
    return found


def _with_bar(results: Iterator[Any], total: int, name: str) -> Any:
    return tqdm(results, total=total, desc=name, unit="batch", disable=total < 2)
