"""The check of a mel store: its frames and its audio are compared with its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distributed import Client

from pipeline.audio import source
from pipeline.audio.decode import file_digest
from pipeline.audio.remote import AudioPath, audio_path
from pipeline.cluster.tasks import run_all
from pipeline.ingestion import shared_recordings
from stores import manifest, mel_store_integrity
from stores.errors import DecodeError
from stores.manifest import ClipRow
from stores.mel_array import ARRAY_METADATA
from stores.mel_store import MelStore


@dataclass(frozen=True)
class Finding:
    """One missing, corrupt or stale item."""

    kind: str
    """`missing`: the item does not exist. `corrupt`: its bytes changed. `stale`: the item it came from changed.
    `shared`: a recording is in two splits."""
    subject: str
    """The clip or file as printed text."""
    detail: str
    """Explanation of what is wrong."""
    clip: int = -1
    """Index of the clip; -1 if the finding does not belong to one clip."""

    def line(self) -> str:
        """Return the finding as a line of text."""
        return f"{self.kind}: {self.subject}: {self.detail}"


@dataclass(frozen=True)
class RegionCheck:
    """The result of checking one region."""

    findings: tuple[Finding, ...]
    """Findings about the clips of the region."""
    clips: int
    """Number of stored clips that were checked."""
    clips_without_audio: int
    """Number of clips whose audio no longer exists. This is not a finding, but these clips could not be restored."""


def check(store: MelStore, client: Client, read_audio: bool = False) -> Iterator[RegionCheck]:
    """Check all regions of `store`, and the audio of its clips.

    Audio is first compared by its size and the time of its last change. It is compared by digest if these differ, or if
    `read_audio` is set.
    """
    yield RegionCheck(tuple(_check_metadata(store)), 0, 0)
    task = partial(_check_region, store.path, audio_path(store.attributes["root"]), read_audio)
    yield from run_all(client, task, mel_store_integrity.stored_regions(store.rows))


def _check_metadata(store: MelStore) -> Iterator[Finding]:
    if detail := mel_store_integrity.find_metadata_damage(store):
        kind = "corrupt" if (store.path / ARRAY_METADATA).exists() else "missing"
        yield Finding(kind, ARRAY_METADATA, detail)
    if planned := int(store.rows.in_state("planned").sum()):
        yield Finding("missing", f"{planned} clips", "planned, but not decoded yet; start the same ingest again")
    if shared_recordings.is_error(store):
        for recording in shared_recordings.find(store.rows):
            yield Finding("shared", str(recording), "one recording in two splits; see `python -m pipeline.ingest`")


def _check_region(path: Path, root: AudioPath, read_audio: bool, rows: Sequence[ClipRow]) -> RegionCheck:
    by_index = {row.index: row for row in rows}
    findings = [
        Finding(damage.kind, repr(by_index[damage.clip].id), damage.detail, damage.clip)
        for damage in mel_store_integrity.find_damage(MelStore.open_without_manifest(path), rows)
    ]
    without_audio = 0
    for clips in manifest.group_by_recording(row for row in rows if row.state != "unlisted"):
        try:
            if _audio_changed(root, clips[0], read_audio):
                findings += [Finding("stale", repr(row.id), "its audio has changed", row.index) for row in clips]
        except DecodeError:
            without_audio += len(clips)
    return RegionCheck(tuple(findings), len(rows), without_audio)


def _audio_changed(root: AudioPath, row: ClipRow, read_audio: bool) -> bool:
    """Return whether the audio of a clip differs from the audio that the clip was made from.

    Raises:
        DecodeError: the audio cannot be read any more.
    """
    file = root / row.source
    try:
        status = file.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not read_audio and (status.st_size, status.st_mtime_ns) == (row.source_bytes, row.source_mtime_ns):
        return False
    with source.open_audio(file, row.member) as path:
        return file_digest(path) != row.source_digest
