"""The repair of a mel store: damaged and stale clips are decoded again from the audio.

Missing and corrupt clips are restored in their places, bit for bit. A clip whose audio changed keeps its index and gets
a new place after all others, so that a kill during the repair loses no clip. A clip whose audio is gone is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from distributed import Client

from pipeline.audio.remote import audio_path
from pipeline.cluster.tasks import run_all
from pipeline.ingestion import plan, region_task
from pipeline.ingestion.build import Build
from pipeline.ingestion.config import Limits
from pipeline.ingestion.progress import IngestProgress
from pipeline.ingestion.recording import DecodeSettings
from pipeline.verification.mel_store_check import Finding
from stores import manifest, mel_store_integrity
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_array import ARRAY_METADATA
from stores.mel_flags import resampler_name
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Codes, Quantizer

NO_LIMIT_SECONDS = 1e7
"""Limit of the length of a recording whose clips are restored, which an earlier ingest has accepted already."""


@dataclass(frozen=True)
class RepairTask:
    """Everything that a worker needs to restore one damaged region."""

    store: Path
    """Folder of the mel store."""
    settings: DecodeSettings
    """Settings with which the recordings are decoded."""
    rows: tuple[ClipRow, ...]
    """Rows of all stored clips of the region."""
    damaged: frozenset[int]
    """Indices of the clips whose frames are damaged."""
    in_subprocesses: bool = False
    """Decode each recording in its own process."""


def merge_pending(store: MelStore) -> MelStore:
    """Merge the finished regions of an unfinished ingest into the manifest of `store`, and return the store.

    The caller must hold the lock of the store.
    """
    rows = store.merged_rows()
    if rows != store.rows:
        store.update(plan.replan(rows, store.grid))
    return store


def repair(store: MelStore, findings: Iterable[Finding], client: Client, limits: Limits) -> None:
    """Restore the clips that `findings` name, and decode planned clips. After a kill, the same call continues.

    Raises:
        MissingArtifact: the folder of the audio does not exist.
        DigestMismatch: the decoders or the settings differ from those that the store was made with.
    """
    build = _build(store, limits)
    if not build.root.is_dir():
        raise MissingArtifact(
            f"{build.root}, the folder that {store.path} was made from, does not exist; mount it, then repair again"
        )
    store.require_settings(build.settings())
    findings = list(findings)
    if any(finding.subject == ARRAY_METADATA for finding in findings):
        mel_store_integrity.restore_metadata(store)
        store = MelStore.open(store.path, complete=False)
    lost = _restore(store, build, [f for f in findings if f.clip >= 0 and f.kind != "stale"], client)
    rows = store.rows.with_rows([row.index for row in lost], lost)
    stale = {f.clip for f in findings if f.kind == "stale"} | {row.index for row in lost if row.state == "planned"}
    if stale or lost:
        store.update(build.plan_again(rows, sorted(stale), client))
    build.run(store, client, IngestProgress())


def _build(store: MelStore, limits: Limits) -> Build:
    attributes = store.attributes
    return Build(
        str(attributes["dataset"]),
        audio_path(attributes["root"]),
        store.path,
        MelSpec.from_dict(attributes["mel_spec"]),
        Quantizer.from_dict(attributes["quantizer"]),
        store.grid,
        limits,
        bool(attributes.get("keeps_silence")),
        resampler_name(attributes["preprocessing"]),
    )


def _restore(store: MelStore, build: Build, damages: Sequence[Finding], client: Client) -> list[ClipRow]:
    """Restore damaged clips in their places.

    Returns:
        The rows of clips that could not be restored: planned if their audio changed, rejected if it cannot be read.
    """
    limits = replace(build.limits, max_seconds=NO_LIMIT_SECONDS)
    settings = DecodeSettings(
        build.root,
        build.spec,
        build.quantizer,
        limits,
        build.keeps_silence,
        build.resampler,
        build.cut_slack_seconds,
    )
    damaged = frozenset(finding.clip for finding in damages)
    tasks = (
        RepairTask(store.path, settings, tuple(rows), damaged)
        for rows in mel_store_integrity.stored_regions(store.rows)
        if any(row.index in damaged for row in rows)
    )
    return [row for lost in run_all(client, run, tasks, run_in_subprocesses) for row in lost]


def run(task: RepairTask) -> list[ClipRow]:
    """Restore the damaged clips of one region, and return the rows of those that could not be restored."""
    restored, lost = dict[int, Codes](), list[ClipRow]()
    for clips in manifest.group_by_recording(row for row in task.rows if row.index in task.damaged):
        results = region_task.read(task.settings, clips, task.in_subprocesses)
        for before, (row, codes) in zip(clips, results, strict=True):
            if codes is not None and row.codes_digest == before.codes_digest:
                restored[row.index] = np.asarray(codes)
            else:
                lost.append(_lost_row(before, row))
    mel_store_integrity.restore_region(MelStore.open_without_manifest(task.store), task.rows, restored)
    return lost


def _lost_row(before: ClipRow, row: ClipRow) -> ClipRow:
    planned = manifest.reset_to_planned(before)
    if before.state == "unlisted":  # it is decoded when it is listed again
        return replace(planned, state="unlisted")
    if row.state != "refused":
        return planned
    detail = f"its frames were damaged, and its audio cannot be read again: {row.detail}"
    return replace(planned, state="refused", reason=row.reason, detail=detail)


def run_in_subprocesses(task: RepairTask) -> list[ClipRow]:
    """Restore one region with which a worker has died: slower, but a crash affects only one recording."""
    return run(replace(task, in_subprocesses=True))
