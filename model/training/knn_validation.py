"""k-NN validation: the share of labeled validation clips that get the right class from their nearest training clips.

At regular intervals, the current encoder embeds some clips of a small labeled store. Each validation clip gets the
class for which its nearest training clips vote. No weights are trained, so a validation costs a forward pass over at
most 4,500 windows (55 MB in memory as uint8). It reads the splits train and valid and never test. It changes no weight
and uses none of the run's random numbers, so a run with it ends with the same bits as a run without it.

Axes: C clip, W window, M mel bin, N frame, D width, Q query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from numpy.typing import NDArray
from torch import Tensor

from model.encoder.vit import Encoder
from model.probes.nearest_neighbors import nearest, weighted_vote
from stores import digest, locations
from stores.errors import InvalidInput
from stores.labels import SEPARATOR
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Codes, Quantizer

MAX_CLIPS = {"train": 1_000, "valid": 500}
"""Largest number of clips of each split. If there are more, they are sampled once with a fixed seed."""
MAX_WINDOWS = 3
"""Largest number of windows of a clip, spaced evenly over the clip."""
NEIGHBORS = 10
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class KnnValidation:
    """The clips of the validation, cut into windows and in memory."""

    name: str
    """Task and store, e.g. `genre of demo`."""
    codes: Codes
    """Windows `[W, M, N]`, those of training clips first."""
    clips: NDArray[np.int64]
    """Clip of each window `[W]`."""
    targets: NDArray[np.int64]
    """Class of each clip `[C]`, training clips first."""
    train_clips: int
    """Number of training clips."""
    quantizer: Quantizer
    """Quantizer of the codes."""

    @classmethod
    def from_store(cls, store: MelStore, task: str, window_frames: int, mel: Mapping[str, Any]) -> KnnValidation:
        """Read the clips of `store` that have the label `task`.

        Args:
            store: mel store with splits.
            task: name of a label with one class per clip, e.g. `genre`.
            window_frames: frames N of a window.
            mel: settings with which the mels of the training clips were made, as in `TrainConfig.mel`.

        Raises:
            InvalidInput: a split has no such clip, the training clips have fewer than two classes, or the labels are
                not classes.
            DigestMismatch: the store has a different mel definition.
        """
        digest.diff_settings(mel, store.value_settings(), ("the training data", str(store.path)))
        chosen = {split: _choose_clips(store, task, split) for split in MAX_CLIPS}
        _require_classes(store, task, chosen)
        rows = [*chosen["train"], *chosen["valid"]]
        classes = sorted({row.labels[task] for row in rows})
        windows = [_windows(store.codes(row.index), window_frames) for row in rows]
        return cls(
            name=f"{task} of {locations.dataset_of(store.path)}",
            codes=np.concatenate(windows),
            clips=np.repeat(np.arange(len(rows)), [len(of_clip) for of_clip in windows]),
            targets=np.array([classes.index(row.labels[task]) for row in rows], np.int64),
            train_clips=len(chosen["train"]),
            quantizer=store.quantizer,
        )

    @property
    def majority(self) -> float:
        """Accuracy of always predicting the most frequent class of the training clips, 0 to 1."""
        most_frequent = np.bincount(self.targets[: self.train_clips]).argmax()
        return float((self.targets[self.train_clips :] == most_frequent).mean())

    def accuracy(self, encoder: Encoder, precision: str) -> float:
        """Return the share of validation clips with the right class, 0 to 1, or NaN if an embedding is not finite.

        Args:
            encoder: encoder to validate. Its weights and its mode stay as they are.
            precision: precision of matrix products, `fp32` or `bf16`.
        """
        embeddings = F.normalize(self._embed(encoder, precision), dim=1)
        if not embeddings.isfinite().all():
            return float("nan")
        predicted = vote(embeddings[: self.train_clips], self._train_targets, embeddings[self.train_clips :])
        return float((predicted.numpy() == self.targets[self.train_clips :]).mean())

    @property
    def _train_targets(self) -> Tensor:
        return torch.from_numpy(self.targets[: self.train_clips])

    def _embed(self, encoder: Encoder, precision: str) -> Tensor:
        """Return the mean embedding `[C, D]` of each clip, on the CPU."""
        device = next(encoder.parameters()).device
        sums = torch.zeros(len(self.targets), encoder.config.embedding_width)
        clips = torch.from_numpy(self.clips)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            for start in range(0, len(self.codes), BATCH_WINDOWS):
                batch = slice(start, start + BATCH_WINDOWS)
                power = torch.from_numpy(self.quantizer.decode(self.codes[batch])).to(device)
                sums.index_add_(0, clips[batch], encoder(power).float().cpu())
        return sums / clips.bincount()[:, None]


def vote(embeddings: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Return the class of each query by a weighted vote of its nearest neighbors among `embeddings`.

    Args:
        embeddings: unit vectors `[C, D]` of the training clips.
        labels: classes `[C]` of the training clips, from 0.
        queries: unit vectors `[Q, D]`.

    Returns:
        Classes `[Q]`. If several classes have equal votes, it is the first of them.
    """
    one_hot = F.one_hot(labels).to(embeddings.dtype)
    return weighted_vote(nearest(queries, embeddings, NEIGHBORS), one_hot).argmax(dim=1)


def _choose_clips(store: MelStore, task: str, split: str) -> list[ClipRow]:
    rows = [row for row in store.rows.select(state="written", split=split) if task in row.labels]
    positions = np.random.default_rng(0).permutation(len(rows))[: MAX_CLIPS[split]]
    return [rows[position] for position in sorted(positions)]


def _windows(codes: Codes, frames: int) -> Codes:
    """Cut up to `MAX_WINDOWS` windows `[W, M, frames]` from codes `[M, N]`; a shorter clip is padded with 0."""
    count = min(MAX_WINDOWS, max(1, codes.shape[1] // frames))
    starts = np.linspace(0, max(0, codes.shape[1] - frames), count).astype(int)
    padded = np.pad(codes, ((0, 0), (0, max(0, frames - codes.shape[1]))))
    return np.stack([padded[:, start : start + frames] for start in starts])


def _require_classes(store: MelStore, task: str, chosen: Mapping[str, list[ClipRow]]) -> None:
    counts = {split: len(rows) for split, rows in chosen.items()}
    if not all(counts.values()):
        known = sorted({name for row in store.rows for name in row.labels})
        raise InvalidInput(
            f"{store.path} has {counts} clips with the label {task!r}, but k-NN validation needs clips in both splits; "
            f"give --check-task one of {known}, or give another --check-store"
        )
    labels = {row.labels[task] for row in chosen["train"]}
    if len(labels) < 2 or any(SEPARATOR in label for label in labels) or all(map(_is_number, labels)):
        raise InvalidInput(
            f"{task!r} of {store.path} has labels like {sorted(labels)[:3]}, but k-NN validation needs two or more "
            "classes and one class per clip; give another --check-task"
        )


def _is_number(label: str) -> bool:
    if label.isdigit():
        return False  # names of classes may be whole numbers
    try:
        float(label)
    except ValueError:
        return False
    return True
