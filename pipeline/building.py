"""Tracks -> a finished mel store: plan what is new, run one task per region, record it, until nothing is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client
from tqdm import tqdm

from pipeline import planning, region_task
from pipeline.audio.decode import preprocessing
from pipeline.cluster import run_all
from pipeline.datasets.track import Track
from pipeline.planning import Limits, Need
from pipeline.region_task import Outcome, RegionTask
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import FingerprintMismatch
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

HEADERS_PER_TASK = 256


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

    def settings(self) -> dict[str, Any]:
        """The store's attributes; all but `root` can change a stored value."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "mel_spec": self.spec.to_dict(),
            "quantizer": self.quantizer.to_dict(),
            "preprocessing": preprocessing(),
        }

    def planned_rows(self, tracks: Sequence[Track], client: Client) -> list[ClipRow]:
        """The manifest with every track in it: rows of an earlier run as they are, new ones with new regions.

        Raises:
            InvalidInput: no tracks, two with one id, or a path that is not UTF-8.
            FingerprintMismatch: the store was made with other settings, or from other files.
        """
        rows = self._existing_rows()
        known = {row.id: row.source for row in rows}
        self._require_same_files(known, tracks)
        new = [track for track in tracks if track.id not in known]
        if rows and not new:
            return rows
        added = planning.plan_rows(new, self.root, first_index=len(rows))
        bounds = self._bounds([track.path for track in new], client)
        return planning.with_regions([*rows, *added], [*[0] * len(rows), *bounds], self.grid)

    def create_or_update(self, rows: Sequence[ClipRow]) -> MelStore:
        """The store on disk with `rows` as its manifest."""
        if not self.path.exists():
            return MelStore.create(self.path, rows, self.settings(), self.grid)
        store = MelStore.open(self.path, complete=False)
        if len(rows) > len(store.rows):
            store.update(planning.replan(manifest.merge(rows, store.merged_rows()), self.grid))
        store.extend_axis()
        return store

    def run(self, store: MelStore, client: Client) -> list[ClipRow]:
        """Work off all that is planned, round by round; a second round is for clips longer than their headers said.

        A clip without room must get a new region before its round counts as over: its old one holds its neighbours.
        """
        while regions := manifest.regions(store.rows):
            self._run_round(store, [region for region in regions if not store.is_finished(region)], client)
            store.update(planning.replan(store.merged_rows(), self.grid))
        return store.rows

    def need(self, rows: Sequence[ClipRow]) -> Need:
        """What the planned rows will need."""
        return planning.need(rows, self.spec)

    def _existing_rows(self) -> list[ClipRow]:
        if not self.path.exists():
            return []
        store = MelStore.open(self.path, complete=False)
        store.require_settings(self.settings())
        return store.rows

    def _require_same_files(self, known: Mapping[str, str], tracks: Sequence[Track]) -> None:
        for track in tracks:
            source = planning.source_of(track, self.root)
            if known.get(track.id, source) != source:
                raise FingerprintMismatch(
                    f"clip {track.id!r} of {self.path} was made from {known[track.id]}, now it is {source}; "
                    f"name another --store or remove it"
                )

    def _bounds(self, paths: Sequence[Path], client: Client) -> list[int]:
        """Upper bound of frames of each file, read from the headers in batches on the cluster."""
        batches = [(i, tuple(paths[i : i + HEADERS_PER_TASK])) for i in range(0, len(paths), HEADERS_PER_TASK)]
        task = partial(_inspect, spec=self.spec, limits=self.limits)
        found = dict(_with_bar(run_all(client, task, batches), len(batches), "headers"))
        return [bound for start in sorted(found) for bound in found[start]]

    def _run_round(self, store: MelStore, regions: Sequence[Region], client: Client) -> None:
        tasks = (
            RegionTask(self.path.absolute(), self.root, region, tuple(store.rows[i] for i in region.clips), self.limits)
            for region in regions
        )
        clips = sum(len(region.clips) for region in regions)
        with tqdm(total=clips, unit="clip", desc="ingest", smoothing=0.1) as bar:
            refused, seconds = 0, 0.0
            for outcome in run_all(client, region_task.run, tasks):
                refused, seconds = refused + outcome.refused, seconds + self.spec.seconds_for(outcome.frames)
                _show(bar, outcome, refused, seconds)


def _inspect(batch: tuple[int, tuple[Path, ...]], spec: MelSpec, limits: Limits) -> tuple[int, list[int]]:
    start, paths = batch
    return start, [planning.bound_frames(path, spec, limits) for path in paths]


def _with_bar(results: Any, total: int, name: str) -> Any:
    return tqdm(results, total=total, desc=name, unit="batch", disable=total < 2)


def _show(bar: Any, outcome: Outcome, refused: int, seconds: float) -> None:
    bar.update(outcome.clips)
    elapsed = max(bar.format_dict["elapsed"], 1e-9)
    bar.set_postfix_str(f"{seconds / elapsed:.0f}x real time, {refused} refused")
