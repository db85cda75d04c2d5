"""A listing -> a finished mel store: plan what is new, run one task per region, record it, until nothing is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client
from tqdm import tqdm

from pipeline import planning, region_task
from pipeline.audio import source
from pipeline.audio.decode import file_digest, preprocessing
from pipeline.cluster import run_all
from pipeline.datasets.track import Track
from pipeline.planning import Limits
from pipeline.progress import Progress
from pipeline.region_task import RegionTask
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import AudioRefused, FingerprintMismatch
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

HEADERS_PER_TASK = 256
MOVED_SAMPLE = 16
"""Files looked at to see whether a folder is the one that a store was made from."""


@dataclass(frozen=True)
class Building:
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

    def planned_rows(self, tracks: Sequence[Track], client: Client) -> list[ClipRow]:
        """The manifest with every track in it: rows of an earlier run in their places, new ones with new regions.

        What the dataset says of a clip (labels, split, group) is taken from `tracks`, also for clips that are done.

        Raises:
            InvalidInput: no tracks, two with one id, or a path that is not UTF-8.
            FingerprintMismatch: the store was made with other settings, or from another folder.
        """
        told = {row.id: row for row in planning.plan_rows(tracks, self.root)}
        rows = [_described(row, told.get(row.id, row)) for row in self._existing_rows()]
        known = {row.id for row in rows}
        new = [track for track in tracks if track.id not in known]
        if not new:
            return rows
        added = planning.plan_rows(new, self.root, first_index=len(rows))
        return planning.with_regions([*rows, *added], [*[0] * len(rows), *self._bounds(new, client)], self.grid)

    def create_or_update(self, rows: Sequence[ClipRow]) -> MelStore:
        """The store on disk with `rows` as its manifest."""
        if not self.path.exists():
            return MelStore.create(self.path, rows, self.settings(), self.grid)
        store = MelStore.open(self.path, complete=False)
        if list(rows) != store.rows:
            store.update(planning.replan(manifest.merge(rows, store.merged_rows()), self.grid))
        if store.attributes["root"] != str(self.root):
            store.move_root(str(self.root))
        store.extend_axis()
        return store

    def run(self, store: MelStore, client: Client, progress: Progress) -> list[ClipRow]:
        """Work off all that is planned, round by round; a second round is for clips longer than their headers said.

        A clip without room must get a new region before its round counts as over: its old one holds its neighbours.
        """
        while regions := manifest.regions(store.rows):
            self._run_round(store, [region for region in regions if not store.is_finished(region)], client, progress)
            store.update(planning.replan(store.merged_rows(), self.grid))
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
        for row in written[:: max(1, len(written) // MOVED_SAMPLE)]:
            try:
                with source.opened(self.root / row.source, row.member) as path:
                    same = file_digest(path) == row.source_digest
            except AudioRefused:
                same = False
            if not same:
                raise FingerprintMismatch(
                    f"{self.path} was made from {store.attributes['root']}; {self.root} does not hold the same "
                    f"{row.source}; name another --store for another folder"
                )

    def _bounds(self, tracks: Sequence[Track], client: Client) -> list[int]:
        """Upper bound of frames of each track; headers that must be read are read in batches on the cluster."""
        bounds = [planning.known_bound_frames(track, self.spec) for track in tracks]
        unknown = [number for number, bound in enumerate(bounds) if not bound]
        batches = [unknown[i : i + HEADERS_PER_TASK] for i in range(0, len(unknown), HEADERS_PER_TASK)]
        task = partial(_inspect, spec=self.spec, limits=self.limits)
        work = ([(number, tracks[number]) for number in batch] for batch in batches)
        for found in _with_bar(run_all(client, task, work), len(batches), "headers"):
            for number, bound in found.items():
                bounds[number] = bound
        return bounds

    def _run_round(self, store: MelStore, regions: Sequence[Region], client: Client, progress: Progress) -> None:
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
            for outcome in run_all(client, region_task.run, tasks):
                progress.add(outcome, self.spec.seconds_for(outcome.frames))


def _described(row: ClipRow, told: ClipRow) -> ClipRow:
    """`row` with what its dataset says now; where its audio lies only matters while it is still to be read."""
    if row.state == "planned":
        row = replace(row, source=told.source, member=told.member)
    return replace(row, group=told.group, split=told.split, labels=told.labels)


def _inspect(batch: Sequence[tuple[int, Track]], spec: MelSpec, limits: Limits) -> Mapping[int, int]:
    return {number: planning.bound_frames(track, spec, limits) for number, track in batch}


def _with_bar(results: Iterator[Any], total: int, name: str) -> Any:
    return tqdm(results, total=total, desc=name, unit="batch", disable=total < 2)
