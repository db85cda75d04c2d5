"""The work of `python -m pipeline.verify`: check stores and shard sets, print the findings, and repair."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distributed import Client

from pipeline.cluster.client import connect
from pipeline.ingestion import shared_recordings
from pipeline.verification import feature_store_check, mel_store_check, shard_check
from pipeline.verification import repair as store_repair
from pipeline.verification.config import VerifySettings
from pipeline.verification.mel_store_check import Finding, RegionCheck
from stores import feature_integrity, locations, mel_attributes, mel_store_upgrade, remote_link
from stores.commit import remove_temporary_files
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_output import print_json
from stores.labels import count_noun
from stores.lock import write_lock
from stores.mel_store import MelStore
from stores.progress import Progress

MAX_SHOWN_FINDINGS = 20
KINDS = ("missing", "corrupt", "stale", "shared")


def verify(settings: VerifySettings) -> int:
    """Check each path, repair it if the settings say so, and return the number of findings that remain.

    Raises:
        InvalidInput: a path is neither a mel store nor a shard set nor a feature store.
        MissingArtifact: a path does not exist, or the audio that a repair needs.
    """
    remaining = {text: _verify_path(_path(text, settings), settings) for text in settings.paths}
    if settings.json:
        print_json({"findings": remaining})
    return sum(remaining.values())


def _path(text: str, settings: VerifySettings) -> Path:
    """Return the folder that is checked, which is a link for a URL. Of these, only shards can be repaired."""
    if not remote_link.is_url(text):
        return Path(text).absolute()
    path = remote_link.connect(text)
    if settings.upgrade or (settings.repair and path.suffix != ".shards"):
        remote_link.require_local(path, "--upgrade" if settings.upgrade else "--repair of a mel store")
    return path.absolute()


def _verify_path(path: Path, settings: VerifySettings) -> int:
    if not path.is_dir():
        raise MissingArtifact(f"{path} does not exist; state a folder NAME.zarr or NAME.shards")
    with write_lock(path) if settings.repair or settings.upgrade else contextlib.nullcontext():
        if path.suffix == ".shards":
            return _verify_shards(path, settings)
        if path.suffix == ".stock":
            raise InvalidInput(
                f"{path} holds tars for other readers, which are not checked; `python -m pipeline.shard "
                f"{path.with_suffix(locations.STORE_SUFFIX)} --format stock` writes them again if its store has changed"
            )
        if feature_integrity.is_feature_store(path):
            return _verify_features(path, settings)
        if path.suffix == locations.STORE_SUFFIX or (path / mel_attributes.METADATA).is_file():
            return _upgrade_store(path) if settings.upgrade else _verify_store(path, settings)
    raise InvalidInput(f"{path} is neither a mel store NAME.zarr, nor NAME.shards, nor a feature store")


def _upgrade_store(path: Path) -> int:
    converted = mel_store_upgrade.upgrade(path)
    version = mel_attributes.FORMAT_VERSION
    print(f"{path}: " + (f"converted to format version {version}" if converted else f"has format version {version}"))
    return 0


def _verify_store(path: Path, settings: VerifySettings) -> int:
    mel_store_upgrade.require_present_version(path)
    try:
        store = MelStore.open(path, complete=False, checks_array=False)
    except (CorruptArtifact, MissingArtifact) as error:
        kind = "corrupt" if isinstance(error, CorruptArtifact) else "missing"
        detail = f"{error}; the manifest cannot be restored: remove {path} and ingest again"
        return _report(path, [Finding(kind, path.name, detail)])
    if settings.repair:
        remove_temporary_files(path)
        store = store_repair.merge_pending(store)
    else:
        store.rows = store.merged_rows()
    cluster = settings.cluster
    with connect(cluster.scheduler, cluster.workers, tls=cluster.tls) as client:
        findings = _check_store(store, client, settings.read_audio)
        if not findings or not settings.repair:
            return len(findings)
        store_repair.repair(store, findings, client, settings.limits)
        print(f"{path}: repaired; checking again")
        return len(_check_store(MelStore.open(path, complete=False), client, settings.read_audio))


def _check_store(store: MelStore, client: Client, read_audio: bool) -> list[Finding]:
    checks = list[RegionCheck]()
    written = int(store.rows.has_frames().sum())
    with Progress(total=written, unit="clip", desc="verify") as bar:
        for region in mel_store_check.check(store, client, read_audio):
            checks.append(region)
            bar.update(region.clips)
    findings = [finding for region in checks for finding in region.findings]
    _report(store.path, sorted(findings, key=lambda finding: finding.clip), count_noun(written, "clip"))
    if without_audio := sum(region.clips_without_audio for region in checks):
        print(f"  clips whose audio is gone, so that they could not be restored: {without_audio}")
    if unlisted := int(store.rows.in_state("unlisted").sum()):
        print(f"  clips that are no longer listed, which `python -m pipeline.ingest --prune` removes: {unlisted}")
    if not shared_recordings.is_error(store):
        for line in shared_recordings.warning_lines(shared_recordings.find(store.rows)):
            print(line)
    return findings


def _verify_shards(path: Path, settings: VerifySettings) -> int:
    if settings.upgrade:
        raise InvalidInput(
            f"--upgrade converts mel stores, and {path} is a shard set; make it again by `python -m pipeline.shard`"
        )
    findings = shard_check.check(path)
    _report(path, findings)
    if not findings or not settings.repair:
        return len(findings)
    remove_temporary_files(path)
    shard_check.repair(path)
    print(f"{path}: repaired; checking again")
    return _report(path, shard_check.check(path))


def _verify_features(path: Path, settings: VerifySettings) -> int:
    if settings.upgrade:
        raise InvalidInput(
            f"--upgrade converts mel stores, and {path} is a feature store; make it again by `python -m model.extract`"
        )
    if settings.repair:
        remove_temporary_files(path)
    findings = feature_store_check.check(path)
    _report(path, findings)
    if findings and settings.repair:
        print("  embeddings are not restored here; run the `python -m model.extract` that made them again")
    return len(findings)


def _report(path: Path, findings: Sequence[Finding], extent: str = "") -> int:
    """Print the findings about one path, and return their number.

    Args:
        path: the store or shard set.
        findings: what is wrong with it.
        extent: the amount of data that was checked.
    """
    counts = Counter(finding.kind for finding in findings)
    result = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]) or "sound"
    print(f"{path}: {f'{extent}: ' if extent else ''}{result}")
    for finding in findings[:MAX_SHOWN_FINDINGS]:
        print(f"  {finding.line()}")
    if len(findings) > MAX_SHOWN_FINDINGS:
        print(f"  ... and {len(findings) - MAX_SHOWN_FINDINGS} more")
    return len(findings)
