"""Predictions of a probe as a table with the id, the prediction and the probabilities of each clip."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from model.probes import musical_keys, song_aggregation, transpositions
from model.probes.probe import Probe
from stores import csv_cells
from stores.commit import atomic_write, remove_leftovers
from stores.errors import InvalidInput

TAG_THRESHOLD = 0.5
"""Lowest probability with which a tag is predicted."""


def prediction_table(
    probe: Probe,
    ids: Sequence[str],
    embeddings: NDArray[np.float32],
    songs: Sequence[str],
    semitones: Sequence[int] | None = None,
) -> pa.Table:
    """Return a table with one row for each clip, with calibrated probabilities if the probe has a temperature.

    Classes and keys: `id`, `prediction`, `probability`, then a probability for each class. With a song-level
    aggregation, all clips of a song have the prediction of the song, and the mean of its clips' probabilities. Tags:
    `id`, `prediction` (all tags with a probability of at least 0.5, joined by `|`), then a probability for each tag.
    Numbers: `id`, then each number. If the probe has its training embeddings, the last columns are
    `distance_percentile` and `remark`, see `TrainingReference.columns`.

    Args:
        probe: a probe from a file, with its metadata.
        ids: ids of the clips.
        embeddings: whole embeddings of the encoder, `[clips, width]`.
        songs: recording of each clip.
        semitones: transposition of each clip, if the outputs of a recording and of its transposed copies are averaged,
            each moved back. A probe of clips averages probabilities.

    Raises:
        InvalidInput: the embeddings have another width than those the probe was trained on, or the probe cannot be
            averaged over transpositions.
    """
    features = select_columns(probe, embeddings)
    outputs = probe.outputs(features)
    if semitones is not None:
        outputs = transpositions.move_back(outputs, semitones, probe.metadata["classes"])
        probe = replace(probe, metadata={**probe.metadata, "vote": probe.metadata["vote"] or "mean"})
    columns, values = predictions_of(probe, outputs, songs)
    named = dict(zip(probe.metadata["classes"], values.T, strict=True))
    values_by_name = {name: np.ascontiguousarray(each) for name, each in named.items()}
    distances = probe.reference.columns(features) if probe.reference else {}
    return pa.table({"id": list(ids), **columns, **values_by_name, **distances})


def select_columns(probe: Probe, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the columns of whole embeddings `[clips, width]` that a probe reads, `[clips, D]`.

    Raises:
        InvalidInput: the embeddings have another width than those the probe was trained on.
    """
    start, stop = probe.metadata["columns"]
    width = embeddings.shape[1]
    if width < stop or (not probe.metadata["part"] and width != stop):
        raise InvalidInput(
            f"the embeddings have width {width}, but the probe was trained on embeddings of width {stop}"
        )
    return np.ascontiguousarray(embeddings[:, start:stop])


def predictions_of(probe: Probe, outputs: NDArray[np.float32], songs: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """Return the columns of the predictions, and the probability of each class or tag, or each number, `[clips, C]`.

    Args:
        probe: a probe from a file.
        outputs: its outputs before softmax or sigmoid, `[clips, C]`.
        songs: recording of each clip, see `prediction_table`.
    """
    of_kind = {"tags": _tags, "numbers": lambda *_: ({}, outputs)}.get(probe.metadata["kind"], _classes)
    return of_kind(probe, outputs, songs)


@dataclass(frozen=True)
class PredictionFile:
    """The file to which predictions are written."""

    path: Path
    """Path that ends in `.csv` or `.parquet`."""

    def __post_init__(self) -> None:
        if self.path.suffix not in (".csv", ".parquet"):
            raise InvalidInput(f"--out must end in .csv or .parquet (got {self.path})")

    def write(self, table: pa.Table) -> None:
        """Write the table, atomically."""
        remove_leftovers(self.path)
        with atomic_write(self.path) as temporary:
            if self.path.suffix == ".parquet":
                pq.write_table(table, temporary, compression="zstd")
                return
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(map(csv_cells.escape, table.column_names))
                writer.writerows(zip(*(_cells(column.to_pylist()) for column in table.columns), strict=True))


def _cells(column: Sequence[Any]) -> list[str]:
    return [f"{value:.6g}" if isinstance(value, float) else csv_cells.escape(str(value)) for value in column]


def _classes(probe: Probe, outputs: NDArray[np.float32], songs: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """Return the columns of the prediction, and the probability of each class `[clips, C]`."""
    tensor, aggregation = torch.from_numpy(outputs), probe.metadata["vote"]
    probabilities, predicted = (tensor / probe.temperature).softmax(1), tensor.argmax(1)
    if aggregation:
        names, song_of = np.unique(np.array(songs), return_inverse=True)
        song = torch.from_numpy(song_of)
        ranks = torch.from_numpy(musical_keys.label_ranks(probe.metadata["classes"]))
        predicted = song_aggregation.song_predictions(tensor[None], song, len(names), ranks)[aggregation][0][song]
        sums = torch.zeros(len(names), tensor.shape[1]).index_add(0, song, probabilities)
        probabilities = (sums / torch.bincount(song)[:, None])[song]
    labels = [probe.metadata["classes"][index] for index in predicted.tolist()]
    columns = {"prediction": labels, "probability": probabilities.gather(1, predicted[:, None])[:, 0].numpy()}
    return columns, probabilities.numpy()


def _tags(probe: Probe, outputs: NDArray[np.float32], _songs: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """Return the column of the predicted tags, and the probability of each tag `[clips, C]`."""
    probabilities = (torch.from_numpy(outputs) / probe.temperature).sigmoid().numpy()
    tags = np.array(probe.metadata["classes"])
    return {"prediction": ["|".join(tags[row >= TAG_THRESHOLD]) for row in probabilities]}, probabilities
