"""A damaged or stale mel store -> a sound one: what can be made again from the audio is made again.

Lost and corrupt clips come back in their places, bit for bit. A clip whose audio changed gets a new place behind all
others, so that a kill half-way loses none; its index stays. A clip whose audio is gone is refused, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import Client

from pipeline.cluster import run_all
from pipeline.ingestion import plan, region_task
from pipeline.ingestion.build import Build
from pipeline.ingestion.plan import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.recording import DecodeSettings
from pipeline.verification.mel_store import Finding
from stores import manifest, mel_store_integrity
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Codes, Quantizer

ANY_SECONDS = 1e7
"""A clip that was stored once may be as long as it was then, whatever the limit is now."""


@dataclass(frozen=True)
class RepairTask:
    """One damaged region."""

    store: Path
    """The mel store."""
    reading: DecodeSettings
    """How its recordings are read."""
    rows: tuple[ClipRow, ...]
    """All written rows of the region."""
    damaged: frozenset[int]
    """Indices of those whose frames are lost."""
    isolated: bool = False
    """Each recording is read in a process of its own."""


def settled(store: MelStore) -> MelStore:
    """`store` with what an unfinished ingest has finished in its manifest; only for who holds its lock."""
    rows = store.merged_rows()
    if rows != store.rows:
        store.update(plan.replan(rows, store.grid))
    return store


def repair(store: MelStore, findings: Iterable[Finding], client: Client, limits: Limits) -> None:
    """Make again what `findings` name, and read what is planned. The same call after a kill goes on with what is left.

    Raises:
        MissingArtifact: the folder of the audio is not there.
        DigestMismatch: decoders or settings are not those that the store was made with.
    """
    building = _building(store, limits)
    if not building.root.is_dir():
        raise MissingArtifact(f"{building.root} is not there, from which {store.path} was made; mount it, then repair")
    store.require_settings(building.settings())
    findings = list(findings)
    if any(finding.what == mel_store_integrity.ARRAY_METADATA for finding in findings):
        mel_store_integrity.restore_metadata(store)
        store = MelStore.open(store.path, complete=False)
    lost = _restore(store, building, [f for f in findings if f.clip >= 0 and f.kind != "stale"], client)
    rows = list(store.rows)
    for row in lost:
        rows[row.index] = row
    stale = {f.clip for f in findings if f.kind == "stale"} | {row.index for row in lost if row.state == "planned"}
    if stale or lost:
        store.update(building.planned_again(rows, sorted(stale), client))
    building.run(store, client, IngestProgress())


def _building(store: MelStore, limits: Limits) -> Build:
    attributes = store.attributes
    return Build(
        str(attributes["dataset"]),
        Path(attributes["root"]),
        store.path,
        MelSpec.from_dict(attributes["mel_spec"]),
        Quantizer.from_dict(attributes["quantizer"]),
        store.grid,
        limits,
        bool(attributes.get("keeps_silence")),
    )


def _restore(store: MelStore, building: Build, damages: Sequence[Finding], client: Client) -> list[ClipRow]:
    """Rows that could not be restored: planned where the audio is another one now, refused where there is none."""
    limits = replace(building.limits, max_seconds=ANY_SECONDS)
    reading = DecodeSettings(building.root, store.spec, store.quantizer, limits, building.keeps_silence)
    damaged = frozenset(finding.clip for finding in damages)
    tasks = (
        RepairTask(store.path, reading, tuple(rows), damaged)
        for rows in mel_store_integrity.written_regions(store.rows)
        if any(row.index in damaged for row in rows)
    )
    return [row for lost in run_all(client, run, tasks, run_isolated) for row in lost]


def run(task: RepairTask) -> list[ClipRow]:
    """Put the clips of one region in their places again; returns the rows that could not be."""
    made, lost = dict[int, Codes](), list[ClipRow]()
    for clips in manifest.recordings(row for row in task.rows if row.index in task.damaged):
        for before, (row, codes) in zip(clips, region_task.read(task.reading, clips, task.isolated), strict=True):
            if codes is not None and row.codes_digest == before.codes_digest:
                made[row.index] = codes
            elif row.state == "refused":
                told = f"its frames were damaged, and it cannot be read again: {row.detail}"
                lost.append(replace(manifest.as_unread(before), state="refused", reason=row.reason, detail=told))
            else:
                lost.append(manifest.as_unread(before))
    mel_store_integrity.restore(MelStore.writer(task.store), task.rows, made)
    return lost


def run_isolated(task: RepairTask) -> list[ClipRow]:
    """The same, slower, after the region has ended a worker."""
    return run(replace(task, isolated=True))
