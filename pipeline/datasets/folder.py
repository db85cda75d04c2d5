"""Any folder of audio: every recording is a track, and its id is its path below the root.

Recordings are audio files, members of archives (`.tar`, `.tar.gz`, `.zip`), and rows of the Parquet files that the
Hugging Face hub uses for audio (see `audio_rows`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets import audio_files, audio_rows, file_kinds, table_paths
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.audio_rows import AudioRows
from pipeline.datasets.label_table import LabelRow, LabelTable
from pipeline.datasets.lazy_sequences import LazyTracks
from pipeline.datasets.listing import Listing
from pipeline.datasets.table_paths import Matches, TablePath
from pipeline.datasets.track import SPLITS, Track
from stores.errors import InvalidInput, MissingArtifact

MAX_NAMED_ROWS = 20
"""Number of rows of valid and test without a file that are named. Further ones are only counted."""


def tracks(root: AudioPath, labels: Path | None = None, id_column: str = "") -> Listing:
    """Return every recording below `root`, without linked folders and folders of the system.

    Tracks are sorted by id, and the rows of a Parquet file are in its order.

    A recording is a group of its own unless the label table names a group, because a bare folder does not state which
    files belong together.

    A file without a row in the table has an empty split, even if the table has splits. Such a file is used to train
    the encoder, which needs no labels, and is not used by any probe. A file that must stay out of training needs a row
    with the split `valid` or `test`. A row is also used for a recording whose path differs from the row's only in
    spelling (see `table_paths`). A row of `valid` or `test` that names no recording is named in the notes of the
    listing, because its file may be here under another name, and then it would be used for training.

    Args:
        root: folder of the audio, which may be on remote storage.
        labels: CSV file with the column `path` (below `root`, with `/`), optionally `split` and `group`, and one column
            per task. Several tags in a cell are joined by `|`. An empty cell is no label. The table may be added or
            changed later, because the set of rejected clips, including silent ones, does not depend on it.
        id_column: column of Parquet files whose values are the ids of their rows (default: see `audio_rows`).

    Raises:
        MissingArtifact: if `root` is not a folder or holds no audio, or if `labels` cannot be opened.
        InvalidInput: if `labels` is not such a table, if none of its rows names a recording, if rows contradict each
            other, or if a row fits several recordings.
    """
    if not isinstance(root, RemotePath) and not root.is_dir():
        raise MissingArtifact(f"{root} is not a folder; use --root with the folder of the audio")
    files = audio_files.find(root, parquet=True)
    rows = audio_rows.read(files, id_column)
    names = files.names
    if rows.locations:
        names = sorted([*files.names, *rows.names], key=lambda name: rows.order(name) or (name, 0))
    if not names:
        raise _no_audio(files, rows)
    if labels is None:
        tracks = LazyTracks(names, lambda name: _track(files, rows, name, rows.labels.get(name)))
        splits = _by_split(rows.labels.values())
        return Listing(tracks, splits, {**rows.counts, **files.counts}, passed_over=files.passed_over)
    return _label_files(files, rows, names, LabelTable.read(labels))


def _no_audio(files: AudioFiles, rows: AudioRows) -> MissingArtifact:
    skipped = "".join(f"; {text}" for text in (files.skipped_text(), *map(str, rows.counts)) if text)
    return MissingArtifact(
        f"no audio below {files.root}; the suffixes of audio are {' '.join(sorted(file_kinds.SUFFIXES))}, and archives "
        f"(.tar, .tar.gz, .zip) and Parquet files of audio in local folders are read too{skipped}. Use --root with the "
        f"folder of the audio"
    )


def _label_files(files: AudioFiles, rows: AudioRows, names: Sequence[str], table: LabelTable) -> Listing:
    paths = [TablePath(path, row.line) for path, row in table.rows.items()]
    members = {name: files.member(name) for name in files.members}
    matches = table_paths.match(paths, names, members, str(files.root), str(table.file))
    if table.rows and not matches.by_name:
        raise InvalidInput(
            f"none of the {len(table.rows)} rows of {table.file} names a file below {files.root}. A path in the table "
            f"is {next(iter(table.rows))!r}, and a file is {names[0]!r}. Paths must be relative to --root, with /"
        )
    labeled = {name: _single_row(table, name, paths) for name, paths in matches.by_name.items()}
    tracks = LazyTracks(names, lambda name: _track(files, rows, name, labeled.get(name, rows.labels.get(name))))
    counts = dict(rows.counts) | _table_counts(table, matches, rows, len(names) - len(labeled)) | dict(files.counts)
    notes = _unmatched_lines(table, matches.unmatched)
    return Listing(tracks, _by_split(table.rows.values()), counts, passed_over=files.passed_over, notes=notes)


def _single_row(table: LabelTable, name: str, paths: Sequence[TablePath]) -> LabelRow:
    """Return the row of a recording.

    Raises:
        InvalidInput: several spellings of its path have different rows.
    """
    first, *others = (table.rows[path.text] for path in paths)
    for other in others:
        if not other.says_the_same(first):
            raise InvalidInput(
                f"{table.file}, line {other.line}: this row and line {first.line} name the same file {name!r} and "
                f"contradict each other; keep only one of these lines"
            )
    return first


def _table_counts(table: LabelTable, matches: Matches, rows: AudioRows, files_without_row: int) -> dict[str, int]:
    repeated = sum(len(paths) - 1 for paths in matches.by_name.values())
    shown_if_nonzero = {
        "rows that repeat another row of the same file": repeated,
        audio_rows.EMPTY_CELLS: table.empty_words() + rows.counts.get(audio_rows.EMPTY_CELLS, 0),
        **matches.loose,
    }
    return {
        "rows without a file": len(matches.unmatched),
        "files without a row": files_without_row,
        **{description: count for description, count in shown_if_nonzero.items() if count},
    }


def _unmatched_lines(table: LabelTable, unmatched: Sequence[TablePath]) -> list[str]:
    """Return a line for each row of valid or test that names no recording."""
    held_out = [path for path in unmatched if table.rows[path.text].split in ("valid", "test")]
    lines = [
        f"no file for the {table.rows[path.text].split} row {path.text!r} (line {path.line}); a file that is here "
        f"under another name is used for training"
        for path in held_out[:MAX_NAMED_ROWS]
    ]
    more = len(held_out) - MAX_NAMED_ROWS
    return [*lines, *([f"... and {more} more rows of valid and test without a file"] if more > 0 else [])]


def _by_split(rows: Iterable[Track | LabelRow]) -> dict[str, int]:
    splits = Counter(row.split for row in rows)
    return {split: splits[split] for split in SPLITS if split and splits[split]}


def _track(files: AudioFiles, rows: AudioRows, name: str, row: LabelRow | None) -> Track:
    row = row or LabelRow("", "", {})
    path, member = rows.locations.get(name) or (files.path(name), files.member(name))
    return Track(
        id=name,
        path=path,
        group=row.group or name,
        split=row.split,
        labels=row.labels,
        member=member,
        bound_seconds=files.bound_seconds(name),
    )
