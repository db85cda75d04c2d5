"""What a probe says of clips: a table with an id, a prediction and probabilities in each row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from model.probes import song_aggregation
from model.probes.probe import Probe
from stores.commit import atomic_write
from stores.errors import InvalidInput

TAG_FROM = 0.5
"""A tag is predicted from this probability on."""


def predictions(head: Probe, ids: Sequence[str], embeddings: NDArray[np.float32], songs: Sequence[str]) -> pa.Table:
    """One row for each clip.

    Classes and keys: `id`, `prediction`, `probability`, then a probability for each class; clips of one song get the
    song's, by the probe's vote (probabilities: the mean over its clips). Tags: `id`, `prediction` (all tags of
    probability 0.5 or more, joined by `|`), then each tag's. Numbers: `id`, then each number.

    Args:
        head: a probe that was kept, with its facts.
        ids: of the clips.
        embeddings: `[clips, width]`, whole as the encoder gives them.
        songs: recording of each clip; equal for clips of one.

    Raises:
        InvalidInput: embeddings of another width.
    """
    start, stop = head.facts["columns"]
    if embeddings.shape[1] < stop or (not head.facts["part"] and embeddings.shape[1] != stop):
        raise InvalidInput(f"the probe reads embeddings of width {stop}; given are {embeddings.shape[1]} numbers")
    outputs = head.outputs(np.ascontiguousarray(embeddings[:, start:stop]))
    of_kind = {"tags": _tags, "numbers": lambda *_: ({}, outputs)}.get(head.facts["kind"], _classes)
    columns, values = of_kind(head, outputs, songs)
    named = dict(zip(head.facts["classes"], values.T, strict=True))
    return pa.table({"id": list(ids), **columns, **{name: np.ascontiguousarray(one) for name, one in named.items()}})


@dataclass(frozen=True)
class Output:
    """Where predictions go."""

    path: Path
    """`.csv` or `.parquet`."""

    def __post_init__(self) -> None:
        if self.path.suffix not in (".csv", ".parquet"):
            raise InvalidInput(f"predictions cannot be written to {self.path}; its name must end in .csv or .parquet")

    def write(self, table: pa.Table) -> None:
        """Write atomically."""
        with atomic_write(self.path) as temporary:
            if self.path.suffix == ".parquet":
                pq.write_table(table, temporary, compression="zstd")
                return
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(table.column_names)
                writer.writerows(zip(*(_cells(column.to_pylist()) for column in table.columns), strict=True))


def _cells(column: Sequence[Any]) -> list[str]:
    return [f"{one:.6g}" if isinstance(one, float) else str(one) for one in column]


def _classes(head: Probe, outputs: NDArray[np.float32], songs: Sequence[str]) -> tuple[dict[str, Any], Any]:
    tensor, vote = torch.from_numpy(outputs), head.facts["vote"]
    shares, chosen = tensor.softmax(1), tensor.argmax(1)
    if vote:
        numbers, song_of = np.unique(np.array(songs), return_inverse=True)
        of_clip = torch.from_numpy(song_of)
        chosen = song_aggregation.song_predictions(tensor[None], of_clip, len(numbers))[vote][0][of_clip]
        sums = torch.zeros(len(numbers), tensor.shape[1]).index_add(0, of_clip, shares)
        shares = (sums / torch.bincount(of_clip)[:, None])[of_clip]
    names = [head.facts["classes"][one] for one in chosen.tolist()]
    return {"prediction": names, "probability": shares.gather(1, chosen[:, None])[:, 0].numpy()}, shares.numpy()


def _tags(head: Probe, outputs: NDArray[np.float32], _songs: Sequence[str]) -> tuple[dict[str, Any], Any]:
    shares, names = torch.from_numpy(outputs).sigmoid().numpy(), np.array(head.facts["classes"])
    return {"prediction": ["|".join(names[row >= TAG_FROM]) for row in shares]}, shares
