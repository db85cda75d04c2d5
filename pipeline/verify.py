"""`python -m pipeline.verify PATH ...`: are these stores and shards what they should be, and if not, make them so.

Three things can be wrong. Missing: a file is not there, or an ingest has not ended. Corrupt: bytes are not those that
were written. Stale: what it was made from has changed: a clip's audio, or the store of a shard set.

Exit status: 0 all is sound, 1 something was found (after `--repair`: is still found), 2 it could not be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distributed import Client
from tqdm import tqdm

from pipeline.cluster import connect
from pipeline.ingestion.plan import Limits
from pipeline.verification import mel_store, shards
from pipeline.verification import repair as store_repair
from pipeline.verification.mel_store import CheckedRegion, Finding
from stores.commit import remove_temporary_files
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, exit_status
from stores.lock import locked
from stores.mel_store import MelStore

SHOWN_FINDINGS = 20
FOUND = 1
"""Exit status when something is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    remaining = 0

    def verify_all() -> None:
        """Verify each path, and count what is still wrong."""
        nonlocal remaining
        for path in options.paths:
            remaining += _verify(path, options)

    return exit_status(verify_all) or (FOUND if remaining else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.verify",
        description="Tell missing, corrupt and stale from sound in mel stores (.zarr) and shard sets (.shards).",
        epilog="Exit status: 0 sound, 1 something was found, 2 it could not be looked at.",
    )
    parser.add_argument("paths", type=Path, nargs="+", help="stores and shard sets, e.g. stores/demo.zarr")
    parser.add_argument("--repair", action="store_true", help="make again what can be made again, then look again")
    parser.add_argument("--read-audio", action="store_true", help="compare all audio by digest, not by size and time")
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="as for ingest, of audio read again (3600)")
    parser.add_argument("--decode-seconds", type=float, default=300.0, help="as for ingest, of audio read again (300)")
    parser.add_argument("--scheduler", default="processes", help="processes, threads or tcp://HOST:PORT (processes)")
    parser.add_argument("--workers", type=int, help="processes or threads to start (default: one a core)")
    return parser


def _verify(path: Path, options: argparse.Namespace) -> int:
    """Look at one path, mend it if that is asked for; returns how many findings there are in the end."""
    path = path.absolute()
    if not path.is_dir():
        raise MissingArtifact(f"{path} is not there; give a folder NAME.zarr or NAME.shards")
    with locked(path) if options.repair else contextlib.nullcontext():
        if path.suffix == ".shards":
            return _verify_shards(path, options.repair)
        if path.suffix == ".zarr":
            return _verify_store(path, options)
    raise InvalidInput(f"{path} is neither NAME.zarr nor NAME.shards")


def _verify_store(path: Path, options: argparse.Namespace) -> int:
    try:
        store = MelStore.open(path, complete=False)
    except (CorruptArtifact, MissingArtifact) as error:
        kind = "corrupt" if isinstance(error, CorruptArtifact) else "missing"
        told = f"{error}; the manifest cannot be made again: remove {path} and ingest anew"
        return _tell(path, [Finding(kind, path.name, told)])
    limits = Limits(options.max_seconds, options.decode_seconds)
    if options.repair:
        remove_temporary_files(path)
        store = store_repair.settled(store)
    else:
        store.rows = store.merged_rows()
    with connect(options.scheduler, options.workers) as client:
        findings = _look(store, client, options.read_audio)
        if not findings or not options.repair:
            return len(findings)
        store_repair.repair(store, findings, client, limits)
        print(f"{path}: repaired; looking again")
        return len(_look(MelStore.open(path, complete=False), client, options.read_audio))


def _look(store: MelStore, client: Client, reads_audio: bool) -> list[Finding]:
    checked = list[CheckedRegion]()
    written = sum(row.state == "written" for row in store.rows)
    with tqdm(total=written, unit="clip", desc="verify") as bar:
        for region in mel_store.check(store, client, reads_audio):
            checked.append(region)
            bar.update(region.clips)
    findings = [finding for region in checked for finding in region.findings]
    gone = sum(region.sources_gone for region in checked)
    _tell(store.path, sorted(findings, key=lambda f: f.clip), f"{written} clips", gone)
    return findings


def _verify_shards(path: Path, repair: bool) -> int:
    findings = shards.check(path)
    _tell(path, findings)
    if not findings or not repair:
        return len(findings)
    remove_temporary_files(path)
    shards.repair(path)
    print(f"{path}: repaired; looking again")
    return _tell(path, shards.check(path))


def _tell(path: Path, findings: Sequence[Finding], looked_at: str = "", sources_gone: int = 0) -> int:
    counts = Counter(finding.kind for finding in findings)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("missing", "corrupt", "stale") if counts[kind]) or "sound"
    print(f"{path}: {f'{looked_at}: ' if looked_at else ''}{told}")
    for finding in findings[:SHOWN_FINDINGS]:
        print(f"  {finding.line()}")
    if len(findings) > SHOWN_FINDINGS:
        print(f"  ... and {len(findings) - SHOWN_FINDINGS} more")
    if sources_gone:
        print(f"  the audio of {sources_gone} clips is gone: they could not be made again")
    return len(findings)


if __name__ == "__main__":
    sys.exit(main())
