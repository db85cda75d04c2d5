"""The online check: whether the nearest neighbours of a labelled clip carry its label.

Every so often the encoder, as it is, embeds some clips of a small labelled store; each validation clip is given the
label that its nearest training clips vote for. No weight is fitted, so it costs a forward pass over at most 4,500
windows (55 MB in memory as uint8). It reads the splits train and valid, never test, draws no random numbers
from the run's, and moves no weight: a run with it ends with the same bits as one without.

Axes: C clip, W window, M mel bin, N frame, D width.
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
from stores import digest
from stores.errors import InvalidInput
from stores.labels import SEPARATOR
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Codes, Quantizer

MAX_CLIPS = {"train": 1_000, "valid": 500}
"""Clips of each split that are looked at, drawn once by a fixed seed where there are more."""
MAX_WINDOWS = 3
"""Windows of a clip, evenly over it."""
NEIGHBORS = 10
TEMPERATURE = 0.07
"""Of the votes: a neighbour of cosine c counts exp(c / 0.07) (Wu et al. 2018)."""
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class KnnValidation:
    """The clips that are looked at, cut and in memory."""

    name: str
    """Task and store, e.g. `genre of demo`."""
    codes: Codes
    """Windows `[W, M, N]`, those of training clips first."""
    clips: NDArray[np.int64]
    """Clip of each window `[W]`."""
    targets: NDArray[np.int64]
    """Class of each clip `[C]`, training clips first."""
    train_clips: int
    """How many of the clips are for training."""
    quantizer: Quantizer
    """What the codes mean."""

    @classmethod
    def of(cls, store: MelStore, task: str, window_frames: int, mel: Mapping[str, Any]) -> KnnValidation:
        """Read the clips of `store` that carry the label `task`.

        Args:
            store: a mel store with splits.
            task: a label that is one class of several, e.g. `genre`.
            window_frames: frames N of a window.
            mel: how the recordings that the encoder hears became mel, as `TrainConfig.mel`.

        Raises:
            InvalidInput: a split has no such clip, train has fewer than two classes, or the labels are no classes.
            DigestMismatch: the store's mel has another definition.
        """
        digest.diff_settings(mel, store.value_settings())
        chosen = {split: _chosen(store, task, split) for split in MAX_CLIPS}
        _require_classes(store, task, chosen)
        rows = [*chosen["train"], *chosen["valid"]]
        classes = sorted({row.labels[task] for row in rows})
        windows = [_windows(store.codes(row.index), window_frames) for row in rows]
        return cls(
            name=f"{task} of {store.path.stem}",
            codes=np.concatenate(windows),
            clips=np.repeat(np.arange(len(rows)), [len(of_clip) for of_clip in windows]),
            targets=np.array([classes.index(row.labels[task]) for row in rows], np.int64),
            train_clips=len(chosen["train"]),
            quantizer=store.quantizer,
        )

    @property
    def majority(self) -> float:
        """The share that is right when every clip is given the most frequent class of the training clips."""
        most = np.bincount(self.targets[: self.train_clips]).argmax()
        return float((self.targets[self.train_clips :] == most).mean())

    def accuracy(self, encoder: Encoder, precision: str) -> float:
        """The share of validation clips that is right, 0 to 1; NaN where an embedding is not finite.

        Args:
            encoder: as it is; its weights and mode are left alone.
            precision: of its products, `fp32` or `bf16`.
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
        """Mean embedding `[C, D]` of each clip, on the CPU."""
        device = next(encoder.parameters()).device
        sums = torch.zeros(len(self.targets), encoder.config.embedding_width)
        clips = torch.from_numpy(self.clips)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            for start in range(0, len(self.codes), BATCH_WINDOWS):
                some = slice(start, start + BATCH_WINDOWS)
                power = torch.from_numpy(self.quantizer.decode(self.codes[some])).to(device)
                sums.index_add_(0, clips[some], encoder(power).float().cpu())
        return sums / clips.bincount()[:, None]


def vote(known: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """The class of each of `asked` by its nearest neighbours among `known`.

    Args:
        known: unit vectors `[C, D]`.
        labels: their classes `[C]`, from 0 on.
        asked: unit vectors `[A, D]`.

    Returns:
        Classes `[A]`; of classes with equal votes the first.
    """
    cosines, nearest = (asked @ known.T).topk(min(NEIGHBORS, len(known)), dim=1)
    # less the largest one, which changes no winner and keeps the exponential within its range
    votes = ((cosines - cosines[:, :1]) / TEMPERATURE).exp()
    counts = votes.new_zeros(len(asked), int(labels.max()) + 1).scatter_add_(1, labels[nearest], votes)
    return counts.argmax(dim=1)


def _chosen(store: MelStore, task: str, split: str) -> list[ClipRow]:
    rows = [row for row in store.rows if row.state == "written" and row.split == split and task in row.labels]
    places = np.random.default_rng(0).permutation(len(rows))[: MAX_CLIPS[split]]
    return [rows[place] for place in sorted(places)]


def _windows(codes: Codes, frames: int) -> Codes:
    """Up to `MOST_WINDOWS` windows `[W, M, frames]` of codes `[M, N]`; a shorter clip gets one, filled up with 0."""
    count = min(MAX_WINDOWS, max(1, codes.shape[1] // frames))
    starts = np.linspace(0, max(0, codes.shape[1] - frames), count).astype(int)
    padded = np.pad(codes, ((0, 0), (0, max(0, frames - codes.shape[1]))))
    return np.stack([padded[:, start : start + frames] for start in starts])


def _require_classes(store: MelStore, task: str, chosen: Mapping[str, list[ClipRow]]) -> None:
    counts = {split: len(rows) for split, rows in chosen.items()}
    if not all(counts.values()):
        known = sorted({name for row in store.rows for name in row.labels})
        raise InvalidInput(
            f"{store.path} has {counts} clips with the label {task!r}; the online check needs some in each of these "
            f"splits: give --check-task one of {known}, or another --check-store"
        )
    labels = {row.labels[task] for row in chosen["train"]}
    if len(labels) < 2 or any(SEPARATOR in label for label in labels) or all(map(_is_number, labels)):
        raise InvalidInput(
            f"{task!r} of {store.path} has labels like {sorted(labels)[:3]}; the online check needs two or more "
            "classes, one a clip: give another --check-task"
        )


def _is_number(label: str) -> bool:
    if label.isdigit():
        return False  # classes may be numbered
    try:
        float(label)
    except ValueError:
        return False
    return True
