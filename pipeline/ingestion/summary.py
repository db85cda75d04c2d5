"""What an ingest came to: clips by state, split and reason, hours, bytes, time and memory; for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stores.commit import write_json
from stores.labels import count_noun
from stores.manifest import ClipRow
from stores.mel_store import MelStore

REPORT = "report.json"
NO_SPLIT = "none"
SHOWN_REFUSALS = 10


@dataclass(frozen=True)
class IngestSummary:
    """The end of one ingest."""

    dataset: str
    """Name of the dataset."""
    written: int
    """Clips in the store."""
    written_by_split: Mapping[str, int]
    """The same by split; an empty split is called `none`."""
    complaints: int
    """Of the written ones, those of which a decoder complained: cut off, or refused by another decoder."""
    silent: int
    """Of the written ones, silent."""
    refused: Mapping[str, int]
    """Refused clips by reason."""
    listing: Mapping[str, int]
    """What the dataset had, lacked, or had too much of."""
    audio_hours: float
    """Audio in the store."""
    store_bytes: int
    """Files of the store."""
    seconds: float
    """Wall clock of this run."""
    worker_peak_bytes: int
    """Most memory of any worker; 0 if no task was run."""

    def lines(self) -> list[str]:
        """The summary for a person."""
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(self.refused.items()))
        named = {split: "without a split" if split == NO_SPLIT else split for split in self.written_by_split}
        splits = ", ".join(f"{count} {named[split]}" for split, count in sorted(self.written_by_split.items()))
        complaints = f"  complaints: {self.complaints}, by decoders; `detail` in manifest.parquet has their words"
        rate = self.store_bytes / 1e6 / self.audio_hours if self.audio_hours else 0.0
        memory = f", at most {self.worker_peak_bytes / 1e6:.0f} MB a worker" if self.worker_peak_bytes else ""
        return [
            f"  written: {count_noun(self.written, 'clip')} ({splits or 'nothing'}), {self.silent} of them silent",
            *([complaints] if self.complaints else []),
            f"  refused: {count_noun(sum(self.refused.values()), 'clip')}" + (f" ({refused})" if refused else ""),
            f"  {self.audio_hours:.2f} h of audio, {self.store_bytes / 1e6:.1f} MB ({rate:.1f} MB an hour), "
            f"{self.seconds:.1f} s{memory}",
        ]

    def write(self, store: Path) -> None:
        """Put the summary into the store's folder, as `report.json`."""
        write_json(store / REPORT, asdict(self))


def summarise(store: MelStore, listing: Mapping[str, int], seconds: float, worker_peak_bytes: int) -> IngestSummary:
    """The summary of `store` after a run of so many seconds."""
    written = [row for row in store.rows if row.state == "written"]
    return IngestSummary(
        dataset=str(store.attributes["dataset"]),
        written=len(written),
        written_by_split=dict(Counter(row.split or NO_SPLIT for row in written)),
        complaints=sum(bool(row.detail) for row in written),
        silent=sum(row.silent for row in written),
        refused=dict(Counter(row.reason for row in store.rows if row.state == "refused")),
        listing=dict(listing),
        audio_hours=store.spec.seconds_for(sum(row.frames for row in written)) / 3600,
        store_bytes=sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file()),
        seconds=seconds,
        worker_peak_bytes=worker_peak_bytes,
    )


def refusals(rows: Sequence[ClipRow]) -> list[str]:
    """A line for each refused clip: id, reason, the decoder's last words."""
    return [
        f"refused {row.id!r}: {row.reason}: {row.detail.splitlines()[-1] if row.detail else ''}"
        for row in rows
        if row.state == "refused"
    ]
