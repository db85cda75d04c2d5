"""Any folder of audio: every file with an audio suffix is a track, and its id is its path below the root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets import audio_files
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.label_table import LabelRow, LabelTable, normalize_accents
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import SPLITS, Track
from stores.errors import InvalidInput, MissingArtifact


def tracks(root: Path, labels: Path | None = None) -> Listing:
    """Return every audio file below `root`, sorted by id, without hidden files, hidden folders and linked folders.

    A file is a group of its own unless the label table names a group, because a bare folder does not state which
    files belong together.

    A file without a row in the table has an empty split, even if the table has splits. Such a file is used to train
    the encoder, which needs no labels, and is not used by any probe. A file that must stay out of training needs a row
    with the split `valid` or `test`. If such a file is renamed, its row no longer keeps it out of training, but the
    file is not scored either.

    Args:
        root: folder of the audio.
        labels: CSV file with the column `path` (below `root`, with `/`), optionally `split` and `group`, and one column
            per task. Several tags in a cell are joined by `|`. An empty cell is no label. The table may be added or
            changed later, because the set of rejected clips, including silent ones, does not depend on it.

    Raises:
        MissingArtifact: if `root` is not a folder or holds no audio, or if `labels` cannot be opened.
        InvalidInput: if `labels` is not such a table, or if none of its rows names a file.
    """
    if not root.is_dir():
        raise MissingArtifact(f"{root} is not a folder; use --root with the folder of the audio")
    files = audio_files.find(root)
    if not files.names:
        skipped = "".join(f"; {description}: {count}" for description, count in files.counts.items())
        raise MissingArtifact(
            f"no audio below {root}; the suffixes of audio are {' '.join(sorted(audio_files.SUFFIXES))}{skipped}. Use "
            f"--root with the folder of the audio"
        )
    if labels is None:
        return Listing([_track(files, name, None) for name in files.names], counts=files.counts)
    return _label_files(files, LabelTable.read(labels))


def _label_files(files: AudioFiles, table: LabelTable) -> Listing:
    matched = {normalize_accents(name) for name in files.names} & table.rows.keys()
    if table.rows and not matched:
        raise InvalidInput(
            f"none of the {len(table.rows)} rows of {table.file} names a file below {files.root}. A path in the table "
            f"is {next(iter(table.rows))!r}, and a file is {files.names[0]!r}. Paths must be relative to --root, with /"
        )
    tracks = [_track(files, name, table.row(name)) for name in files.names]
    counts = {
        "rows without a file": len(table.rows) - len(matched),
        "files without a row": sum(table.row(name) is None for name in files.names),
    }
    return Listing(tracks, _rows_by_split(list(table.rows.values())), {**counts, **files.counts})


def _rows_by_split(rows: Sequence[LabelRow]) -> dict[str, int]:
    splits = Counter(row.split for row in rows)
    return {split: splits[split] for split in SPLITS if split and splits[split]}


def _track(files: AudioFiles, name: str, row: LabelRow | None) -> Track:
    row = row or LabelRow("", "", {})
    return Track(id=name, path=files.path(name), group=row.group or name, split=row.split, labels=row.labels)
