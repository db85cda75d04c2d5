"""AudioSet's official CSVs, which state the labeled segments (mostly ten seconds) of videos and their labels.

A file has three comment lines, then rows such as `--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"`. Two million rows
take nine seconds. Only the id is stored for rows outside the subset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.audioset.names import ID
from stores.errors import InvalidInput
from stores.labels import join_tags

FILE_NAMES = ("balanced_train_segments.csv", "unbalanced_train_segments.csv", "eval_segments.csv")
_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
# Spaces are optional. Quotes may be missing around a single label, because some CSV writers leave them out.
_ROW = re.compile(rf'({ID}), *({_NUMBER}), *({_NUMBER}), *(?:"([^"]+)"|([^",\s]+))\s*', re.ASCII)
_EXAMPLE = '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"'
_EVAL = re.compile(r"(?<![A-Za-z])(?i:eval|test(?:s|ing)?(?![A-Za-z]))|(?<=[a-z])(?:Eval|Test(?:s|ing)?(?![a-z]))")


@dataclass(frozen=True, slots=True)
class Segment:
    """One labeled segment of a video."""

    start_seconds: float
    """Start of the segment in the video."""
    end_seconds: float
    """End of the segment in the video, which is ten seconds after the start except in short videos."""
    split: str
    """`test` for the evaluation set, otherwise `train`."""
    tags: str
    """Display names of its labels in the order of the CSV, joined to one label."""


@dataclass(frozen=True)
class Segments:
    """All listed segments. AudioSet has one segment per video."""

    selected: Mapping[str, Segment]
    """Segments of the subset by YouTube id."""
    excluded_ids: Set[str]
    """YouTube ids of the segments outside the subset."""
    repeated_rows: int
    """Number of rows that were ignored because their id was in an earlier row. 0 in the official files."""


@dataclass(frozen=True)
class _LabelCache:
    """A map from label cells to tags, or to None outside the subset. It is a cache, because many rows share a cell."""

    names: Mapping[str, str]
    subset: Set[str] | None
    cached: dict[str, str | None] = field(default_factory=dict)

    def tags(self, cell: str) -> str | None:
        """Return the joined display names of the classes in a cell, or None for a segment outside the subset."""
        if cell not in self.cached:
            mids = [mid.strip() for mid in cell.split(",")]
            if unknown := [mid for mid in mids if mid not in self.names]:
                raise ValueError(f"label {unknown[0]!r} is not in the ontology; expected machine ids such as /m/04rlf")
            in_subset = self.subset is None or not self.subset.isdisjoint(mids)
            self.cached[cell] = join_tags(self.names[mid] for mid in mids) if in_subset else None
        return self.cached[cell]


def split_of(path: Path) -> str:
    """Return `test` for a CSV with a word in its name that starts with `eval` or is `test`, and `train` for any other.

    Words may be joined like `AudioSetEval`.
    """
    return "test" if _EVAL.search(path.name) else "train"


def read(paths: Sequence[Path], names: Mapping[str, str], subset: Set[str] | None = None) -> Segments:
    """Read the CSVs, evaluation first. The first row of an id is used, so evaluation clips never become `train`.

    Args:
        paths: files in the official format. The file name determines the split (see `split_of`).
        names: display names of all classes by machine id.
        subset: machine ids. Only segments with one of these labels are selected (default: all segments).

    Raises:
        InvalidInput: if a row is not in the published format, or if there is no row at all. The message names the file,
            the line, the problem and the expected format.
    """
    labels = _LabelCache(names, subset)
    selected: dict[str, Segment] = {}
    excluded_ids: set[str] = set()
    eval_first = sorted(paths, key=lambda path: (split_of(path) != "test", path))
    repeated_rows = sum(_read_file(path, labels, selected, excluded_ids) for path in eval_first)
    if not selected and not excluded_ids:
        raise InvalidInput(f"no segments in {', '.join(map(str, paths))}; expected rows such as {_EXAMPLE}")
    return Segments(selected, excluded_ids, repeated_rows)


def _read_file(path: Path, labels: _LabelCache, selected: dict[str, Segment], excluded_ids: set[str]) -> int:
    """Add the rows of one file and return how many of them had an id of an earlier row."""
    split, repeated_rows = split_of(path), 0
    # Bytes that are not UTF-8 become U+FFFD, which no row may contain, so the error below names the line.
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("#") or line.isspace():
                continue
            try:
                youtube_id, segment = _row(line, split, labels)
            except ValueError as error:
                raise InvalidInput(f"{path}, line {number}: {error}") from error
            if youtube_id in selected or youtube_id in excluded_ids:
                repeated_rows += 1
            elif segment is None:
                excluded_ids.add(youtube_id)
            else:
                selected[youtube_id] = segment
    return repeated_rows


def _row(line: str, split: str, labels: _LabelCache) -> tuple[str, Segment | None]:
    match = _ROW.fullmatch(line)
    if match is None:
        raise ValueError(
            f"{line.rstrip()[:200]!r} is not a segment; expected YouTube id, start, end and labels, as in {_EXAMPLE}"
        )
    youtube_id, start, end, quoted, bare = match.groups()
    start_seconds, end_seconds = float(start), float(end)
    if end_seconds <= start_seconds:
        raise ValueError(f"{youtube_id} ends at {end} s and starts at {start} s; the end must be after the start")
    tags = labels.tags(quoted or bare)
    return youtube_id, None if tags is None else Segment(start_seconds, end_seconds, split, tags)
