"""What a mel store holds, compared with its manifest and with its audio: missing, corrupt, stale or sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distributed import Client

from pipeline.audio import source
from pipeline.audio.decode import file_digest
from pipeline.cluster import run_all
from stores import manifest, mel_store_integrity
from stores.errors import DecodeError
from stores.manifest import ClipRow
from stores.mel_store import MelStore


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    """`missing`: something is not there; `corrupt`: its bytes changed; `stale`: what it was made from changed."""
    what: str
    """The clip or file, for a person."""
    detail: str
    """What was found."""
    clip: int = -1
    """Index of the clip; -1 where it is about none in particular."""

    def line(self) -> str:
        """The finding for a person."""
        return f"{self.kind}: {self.what}: {self.detail}"


@dataclass(frozen=True)
class CheckedRegion:
    """What became of one region's look."""

    findings: tuple[Finding, ...]
    """What is wrong with it."""
    clips: int
    """Written clips looked at."""
    sources_gone: int
    """Clips whose audio is not there any more: sound, but nobody could make them again."""


def check(store: MelStore, client: Client, reads_audio: bool = False) -> Iterator[CheckedRegion]:
    """Look at all regions of `store`, and at the audio of its clips.

    Audio is compared by size and time of its last change, and where these differ, or `reads_audio` is set, by digest.
    """
    yield CheckedRegion(tuple(_metadata(store)), 0, 0)
    look = partial(_check_region, store.path, Path(store.attributes["root"]), reads_audio)
    yield from run_all(client, look, mel_store_integrity.written_regions(store.rows))


def _metadata(store: MelStore) -> Iterator[Finding]:
    if wrong := mel_store_integrity.metadata_damage(store):
        kind = "corrupt" if (store.path / mel_store_integrity.ARRAY_METADATA).exists() else "missing"
        yield Finding(kind, mel_store_integrity.ARRAY_METADATA, wrong)
    if planned := sum(row.state == "planned" for row in store.rows):
        yield Finding("missing", f"{planned} clips", "planned, but not read yet; the same ingest goes on with them")


def _check_region(path: Path, root: Path, reads_audio: bool, rows: Sequence[ClipRow]) -> CheckedRegion:
    by_index = {row.index: row for row in rows}
    findings = [
        Finding(damage.kind, repr(by_index[damage.clip].id), damage.detail, damage.clip)
        for damage in mel_store_integrity.damages(MelStore.writer(path), rows)
    ]
    gone = 0
    for clips in manifest.recordings(rows):
        try:
            if _changed(root, clips[0], reads_audio):
                findings += [Finding("stale", repr(row.id), "its audio is another one now", row.index) for row in clips]
        except DecodeError:
            gone += len(clips)
    return CheckedRegion(tuple(findings), len(rows), gone)


def _changed(root: Path, row: ClipRow, reads_audio: bool) -> bool:
    """Whether the audio of a clip is not the one that was read.

    Raises:
        DecodeError: it cannot be read any more.
    """
    file = root / row.source
    try:
        status = file.stat()
    except OSError as error:
        raise DecodeError("missing", str(error)) from error
    if not reads_audio and (status.st_size, status.st_mtime_ns) == (row.source_bytes, row.source_mtime_ns):
        return False
    with source.opened(file, row.member) as path:
        return file_digest(path) != row.source_digest
