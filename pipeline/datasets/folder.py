"""Any folder of audio: every file whose name looks like audio is a track; its id is its path below the root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets import audio_files
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.label_table import LabelRow, LabelTable, composed
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import SPLITS, Track
from stores.errors import InvalidInput, MissingArtifact


def tracks(root: Path, labels: Path | None = None) -> Listing:
    """Every audio file below `root`, sorted by id; hidden files and folders, and folders that are links, are not.

    A file is a group of its own unless the table says otherwise: a bare folder does not say what belongs together.

    A file without a row keeps an empty split, also where the table names splits. Such files train the encoder, which
    needs no labels, and no probe sees them; a file that must stay out of training needs a row that says `valid` or
    `test`. A row whose file was renamed cannot keep it out of training, but neither is it scored.

    Args:
        root: folder of the audio.
        labels: CSV with the columns `path` (below `root`, with `/`), optionally `split` and `group`, and a column per
            task; several tags in one cell are joined by `|`, an empty cell is no label. It may come later, or change:
            what is refused, silence among it, does not depend on it.

    Raises:
        MissingArtifact: if `root` is not a folder, or holds no audio; if `labels` cannot be opened.
        InvalidInput: `labels` is not such a table, or none of its rows names a file.
    """
    if not root.is_dir():
        raise MissingArtifact(f"{root} is not a folder; give the one that holds the audio with --root")
    files = audio_files.find(root)
    if not files.names:
        aside = "".join(f"; {what}: {count}" for what, count in files.counts.items())
        raise MissingArtifact(f"no audio below {root}; looked for {' '.join(sorted(audio_files.SUFFIXES))}{aside}")
    if labels is None:
        return Listing([_track(files, name, None) for name in files.names], counts=files.counts)
    return _labelled(files, LabelTable.read(labels))


def _labelled(files: AudioFiles, table: LabelTable) -> Listing:
    matched = {composed(name) for name in files.names} & table.rows.keys()
    if table.rows and not matched:
        raise InvalidInput(
            f"none of the {len(table.rows)} rows of {table.file} names a file below {files.root}: a row has "
            f"{next(iter(table.rows))!r}, a file is {files.names[0]!r}; paths are below --root, with /"
        )
    found = [_track(files, name, table.row(name)) for name in files.names]
    counts = {
        "rows without a file": len(table.rows) - len(matched),
        "files without a row": sum(table.row(name) is None for name in files.names),
    }
    return Listing(found, _stated(list(table.rows.values())), {**counts, **files.counts})


def _stated(rows: Sequence[LabelRow]) -> dict[str, int]:
    splits = Counter(row.split for row in rows)
    return {split: splits[split] for split in SPLITS if split and splits[split]}


def _track(files: AudioFiles, name: str, row: LabelRow | None) -> Track:
    row = row or LabelRow("", "", {})
    return Track(id=name, path=files.path(name), group=row.group or name, split=row.split, labels=row.labels)
