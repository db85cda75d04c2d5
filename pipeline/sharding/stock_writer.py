"""Tars with one clip a sample, for readers that know nothing of Myna.

    NAME.stock/
      NAME-000000.tar   members 000000042.codes.npy   uint8 or uint16 codes, or float32 power, [n_mels, frames]
                                000000042.json        id, frames, split, group and labels of the clip
      index.json        digests, the counts of every tar, mel settings, and the formula of the codes

The clips of all splits are written, shuffled once. Labels and splits are those at the time of writing, which the digest
`labels` states. A training run reads `NAME.shards` instead, whose samples hold many clips.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stores.commit import atomic_write, read_bounded, write_json
from stores.digest import digest_with_clips
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import parse_json
from stores.manifest import ClipRow, ClipRows, clips_for_digest
from stores.mel_store import MelStore
from stores.progress import Progress
from stores.shards import add_member

INDEX = "index.json"
MAX_INDEX_BYTES = 1 << 26
_UNFINISHED = ".unfinished.json"
FORMULA = "power = 0 for code 0, else 10 ** (low_decades + (code - 1) * (high_decades - low_decades) / (max_code - 1))"


@dataclass(frozen=True)
class StockPlan:
    """The order of the clips and the size of a tar."""

    seed: int = 0
    """Seed of the shuffle of all clips."""
    clips_per_tar: int = 1_000
    """Number of clips in a tar."""


@dataclass(frozen=True)
class StockSet:
    """The tars that were written, or found to be current."""

    folder: Path
    """Folder of the tars."""
    clips: int
    """Number of clips in all tars."""
    tars: int
    """Number of tars."""
    size_bytes: int
    """Size of all tars in bytes."""


def write_stock(store: MelStore, folder: Path, plan: StockPlan) -> StockSet:
    """Write all clips of `store` as tars with one clip a sample, then their index.

    A current set is kept. An interrupted command writes the tars that are missing, because each tar is complete or
    absent, and its bytes depend only on the store, its labels and the plan.

    Args:
        store: mel store with the clips.
        folder: folder of the tars. Tars of other settings in it are removed.
        plan: the shuffle and the size of a tar.

    Raises:
        InvalidInput: no clip of the store has a mel.
        CorruptArtifact: a clip of the store cannot be read.
    """
    clips = store.rows.take(np.flatnonzero(store.rows.in_state("written")))
    if not len(clips):
        raise InvalidInput(f"no clip of {store.path} has a mel; ingest it first")
    index = _index(store, plan)
    folder.mkdir(parents=True, exist_ok=True)
    if index not in (_recorded(folder / INDEX), _recorded(folder / _UNFINISHED)):
        _remove(folder)
        write_json(folder / _UNFINISHED, index)
    parts = _parts(clips, plan)
    with Progress(total=len(clips), unit="clip", desc="shard") as bar:
        for number, rows in enumerate(parts):
            path = folder / f"{_prefix(folder)}-{number:06d}.tar"
            if not path.exists():
                _write_tar(path, store, rows)
            bar.update(len(rows))
    write_json(folder / INDEX, index)  # last, so that a folder with an index is complete
    (folder / _UNFINISHED).unlink(missing_ok=True)
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.tar"))
    return StockSet(folder, len(clips), len(parts), size_bytes)


def _index(store: MelStore, plan: StockPlan) -> dict[str, Any]:
    columns = ("id", "split", "group", "labels", "state")
    labels = digest_with_clips({}, clips_for_digest(store.rows, columns))
    return {
        "store": store.digest(),
        "labels": labels,
        "seed": plan.seed,
        "clips_per_tar": plan.clips_per_tar,
        **store.value_settings(),
        "codes": FORMULA if store.quantizer.bits < 32 else "power itself",
        "max_code": store.quantizer.max_code if store.quantizer.bits < 32 else None,
    }


def _recorded(path: Path) -> Any:
    try:
        return parse_json(read_bounded(path, MAX_INDEX_BYTES))
    except (OSError, ValueError, CorruptArtifact):
        return None


def _remove(folder: Path) -> None:
    (folder / INDEX).unlink(missing_ok=True)
    for path in folder.glob(f"{_prefix(folder)}-[0-9]*.tar"):
        path.unlink()


def _prefix(folder: Path) -> str:
    return folder.name.removesuffix(".stock").replace(".", "-")


def _parts(clips: ClipRows, plan: StockPlan) -> list[ClipRows]:
    order = np.random.default_rng(plan.seed).permutation(len(clips))
    size = plan.clips_per_tar
    return [clips.take(order[start : start + size]) for start in range(0, len(order), size)]


def _write_tar(path: Path, store: MelStore, rows: Sequence[ClipRow]) -> None:
    with atomic_write(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            for suffix, content in _sample(store, row):
                add_member(tar, f"{row.index:09d}.{suffix}", content)


def _sample(store: MelStore, row: ClipRow) -> Iterator[tuple[str, bytes]]:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(store.codes(row.index)), allow_pickle=False)
    yield "codes.npy", buffer.getvalue()
    names = ("id", "frames", "split", "group", "semitones")
    about = {name: getattr(row, name) for name in names} | {"labels": dict(row.labels)}
    yield "json", json.dumps(about, ensure_ascii=False).encode()
