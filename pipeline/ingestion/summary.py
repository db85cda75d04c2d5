"""The summary of an ingest: clips by state, split and reason, hours, bytes, time and memory, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.ingestion.recording import WARNING_SEPARATOR
from stores.commit import write_json
from stores.labels import count_noun
from stores.manifest import ClipRow, ClipRows
from stores.mel_store import MelStore

REPORT = "report.json"
NO_SPLIT = "none"
UNNAMED = "unnamed"
"""Warnings in stores of earlier versions, which had texts and no names."""
MAX_SHOWN_LINES = 10
"""Number of rejections, and of warnings, that are printed. The log has all of them."""


@dataclass(frozen=True)
class IngestSummary:
    """The results of one ingest. The names of the fields are those in `report.json`."""

    dataset: str
    """Name of the dataset."""
    written: int
    """Number of clips in the store."""
    written_by_split: Mapping[str, int]
    """Number of clips in the store by split; `none` for clips without a split."""
    complaints: int
    """Number of stored clips with a warning."""
    warnings: Mapping[str, int]
    """Number of stored clips by the name of a warning, such as `short`. A clip can have several."""
    silent: int
    """Number of stored clips that are silent."""
    refused: Mapping[str, int]
    """Number of rejected clips by reason."""
    listing: Mapping[str, int]
    """Counts of the listing, such as missing files or files that were left out."""
    audio_hours: float
    """Length of the audio in the store in hours."""
    store_bytes: int
    """Size of all files of the store."""
    seconds: float
    """Wall-clock time of this run in seconds."""
    worker_peak_bytes: int
    """Largest memory of any worker; 0 if no task was run."""

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.refused.items()))
        names = {split: "without a split" if split == NO_SPLIT else split for split in self.written_by_split}
        splits = ", ".join(f"{count} {names[split]}" for split, count in sorted(self.written_by_split.items()))
        warnings = ", ".join(f"{count} {name}" for name, count in sorted(self.warnings.items()))
        rate = self.store_bytes / 1e6 / self.audio_hours if self.audio_hours else 0.0
        memory = f", at most {self.worker_peak_bytes / 1e6:.0f} MB a worker" if self.worker_peak_bytes else ""
        return [
            f"  written: {count_noun(self.written, 'clip')} ({splits or 'nothing'}), {self.silent} of them silent",
            *([f"  warnings: {count_noun(self.complaints, 'clip')} ({warnings})"] if self.complaints else []),
            f"  rejected: {count_noun(sum(self.refused.values()), 'clip')}" + (f" ({reasons})" if reasons else ""),
            f"  {self.audio_hours:.2f} h of audio, {self.store_bytes / 1e6:.1f} MB ({rate:.1f} MB an hour), "
            f"{self.seconds:.1f} s{memory}",
        ]

    def write(self, store: Path) -> None:
        """Write the summary to `report.json` in the folder of the store."""
        write_json(store / REPORT, asdict(self))


def summarize(store: MelStore, listing: Mapping[str, int], seconds: float, worker_peak_bytes: int) -> IngestSummary:
    """Return the summary of `store` after a run that took `seconds`."""
    written, rejected = store.rows.select(state="written"), store.rows.select(state="refused")
    warnings = list(zip(written.column("warnings").to_pylist(), written.column("detail").to_pylist(), strict=True))
    return IngestSummary(
        dataset=str(store.attributes["dataset"]),
        written=len(written),
        written_by_split=dict(Counter(split or NO_SPLIT for split in written.column("split").to_pylist())),
        complaints=sum(bool(_warning_names(*texts)) for texts in warnings),
        warnings=dict(Counter(name for texts in warnings for name in _warning_names(*texts))),
        silent=int(written.numbers("silent").sum()),
        refused=dict(Counter(rejected.column("reason").to_pylist())),
        listing=dict(listing),
        audio_hours=store.spec.seconds_for(int(written.numbers("frames").sum())) / 3600,
        store_bytes=sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file()),
        seconds=seconds,
        worker_peak_bytes=worker_peak_bytes,
    )


def rejection_lines(rows: Sequence[ClipRow]) -> list[str]:
    """Return a line for each rejected clip: its id, the reason and the last line of the detail."""
    return [
        f"rejected {row.id!r}: {row.reason}: {row.detail.splitlines()[-1] if row.detail else ''}"
        for row in ClipRows.of(rows).select(state="refused")
    ]


def warning_lines(rows: Sequence[ClipRow]) -> list[str]:
    """Return a line for each warning about a stored clip: its id, the name of the warning and its text."""
    written = ClipRows.of(rows).select(state="written")
    has_warning = [*zip(written.column("warnings").to_pylist(), written.column("detail").to_pylist(), strict=True)]
    warned = written.take([place for place, texts in enumerate(has_warning) if any(texts)])
    return [f"warning {row.id!r}: {name}: {text}" for row in warned for name, text in _named_texts(row)]


def _named_texts(row: ClipRow) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each warning; the whole text for each name if it cannot be divided."""
    names, detail = _warning_names(row.warnings, row.detail), " ".join(row.detail.split())
    texts = detail.split("; ") if len(names) > 1 else [detail]
    yield from zip(names, texts if len(texts) == len(names) else [detail] * len(names), strict=True)


def _warning_names(warnings: str, detail: str) -> list[str]:
    return warnings.split(WARNING_SEPARATOR) if warnings else [UNNAMED] if detail else []
