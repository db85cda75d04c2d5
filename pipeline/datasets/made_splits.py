"""Splits for a table of labels that has none: groups stay whole, and every class gets its share of each split.

A group is the cell of the column `group`, or else of `album` or `artist`, or else the folder of the file. If the files
of most classes lie in one folder each, as in a folder for each genre, folders say nothing about albums, and every file
is a group of its own.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets.label_table import GROUP, PATH, SPLIT, LabelRow, LabelTable
from stores.commit import write_bytes
from stores.errors import InvalidInput

SPLIT_NAMES = ("train", "valid", "test")
_GROUP_COLUMNS = ("album", "artist")
_MIN_FOLDERS = 3
_SHARES = re.compile(r"(\d{1,3})/(\d{1,3})/(\d{1,3})")


@dataclass(frozen=True)
class MadeSplits:
    """A table with splits."""

    rows: Mapping[str, LabelRow]
    """Rows by path, each with a split and a group."""
    groups_by: str
    """What a group is, in words: `group`, `album`, `artist`, `folder`, or `file`."""

    def write(self, path: Path) -> None:
        """Write the table as a CSV file with the columns path, split, group and the labels, atomically."""
        tasks = sorted({task for row in self.rows.values() for task in row.labels})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([PATH, SPLIT, GROUP, *tasks])
        for name, row in self.rows.items():
            writer.writerow([name, row.split, row.group, *(row.labels.get(task, "") for task in tasks)])
        write_bytes(path, text.getvalue().encode())


def parse_shares(text: str) -> tuple[float, float, float]:
    """Return the shares of train, valid and test in a text such as `60/10/30`.

    Raises:
        InvalidInput: it is not three numbers of percent, above 0, that add up to 100.
    """
    match = _SHARES.fullmatch(text)
    percent = [int(number) for number in match.groups()] if match else []
    if sum(percent) != 100 or min(percent) < 1:
        raise InvalidInput(f"--split must be percent of train, valid and test, for example 60/10/30 (got {text})")
    return percent[0] / 100, percent[1] / 100, percent[2] / 100


def has_splits(table: LabelTable) -> bool:
    """Return whether any row of a table has a split."""
    return any(row.split for row in table.rows.values())


def make(table: LabelTable, shares: tuple[float, float, float], seed: int = 0) -> MadeSplits:
    """Return the rows of a table with splits. The same table and seed give the same splits.

    Args:
        table: a table without splits.
        shares: shares of train, valid and test.
        seed: seed of the order of groups of equal size.
    """
    groups_by, group_of = _groups(table)
    members = defaultdict(list)
    for path in table.rows:
        members[group_of[path]].append(path)
    split_of = _assign([(name, [table.rows[path] for path in paths]) for name, paths in members.items()], shares, seed)
    rows = {
        path: LabelRow(split_of[group_of[path]], group_of[path], row.labels, row.line)
        for path, row in table.rows.items()
    }
    return MadeSplits(rows, groups_by)


def _groups(table: LabelTable) -> tuple[str, dict[str, str]]:
    """Return what a group is, and the group of each path."""
    if any(row.group for row in table.rows.values()):
        return GROUP, {path: row.group or path for path, row in table.rows.items()}
    columns = {task.casefold(): task for row in table.rows.values() for task in row.labels}
    for name in _GROUP_COLUMNS:
        if name in columns:
            values = {path: row.labels.get(columns[name], "") for path, row in table.rows.items()}
            return name, {path: value or path for path, value in values.items()}
    folders = {path: str(PurePosixPath(path.replace("\\", "/")).parent) for path in table.rows}
    if len(set(folders.values())) > 1 and _classes_span_folders(table, folders):
        return "folder", {path: path if folder == "." else folder for path, folder in folders.items()}
    return "file", {path: path for path in table.rows}


def _classes_span_folders(table: LabelTable, folders: Mapping[str, str]) -> bool:
    """Return whether most classes have files in enough folders for every split."""
    folders_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path, row in table.rows.items():
        for label in row.labels.items():
            folders_of[label].add(folders[path])
    counts = Counter(label for row in table.rows.values() for label in row.labels.items())
    several = [label for label in folders_of if counts[label] >= _MIN_FOLDERS]
    spanning = sum(len(folders_of[label]) >= _MIN_FOLDERS for label in several)
    return 2 * spanning >= len(several)


def _assign(
    groups: Sequence[tuple[str, Sequence[LabelRow]]], shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """Return the split of each group: large groups first, each where its labels are missing most.

    This is iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) with whole groups.
    """
    counts = [Counter([("", ""), *(label for row in rows for label in row.labels.items())]) for _, rows in groups]
    for count, (_, rows) in zip(counts, groups, strict=True):
        count["", ""] = len(rows)  # files count like a label that all have
    totals: Counter[tuple[str, str]] = sum(counts, Counter())
    wanted = {
        split: {label: share * total for label, total in totals.items()}
        for split, share in zip(SPLIT_NAMES, shares, strict=True)
    }
    order = np.random.default_rng(seed).permutation(len(groups))
    split_of = {}
    for index in sorted(order.tolist(), key=lambda i: -len(groups[i][1])):
        missing = {
            split: sum(n * wanted[split][label] / totals[label] for label, n in counts[index].items())
            for split in SPLIT_NAMES
        }
        split = max(SPLIT_NAMES, key=lambda name: missing[name])
        split_of[groups[index][0]] = split
        for label, n in counts[index].items():
            wanted[split][label] -= n
    return split_of
