"""Training of adapters on pairs, by one process or several ranks under torchrun.

Every rank holds all embeddings and all weights, computes its share of each batch, and averages the gradients of the
weights with the others. The objective exchanges features and a few numbers for each anchor, as FastCLIP does. The order
of the pairs is drawn by the seed for the whole batch, so the result does not depend on the number of ranks, except for
rounding.

Axes: P pair of a batch.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from model.alignment import checkpoint
from model.alignment.adapters import Adapters, build_adapters
from model.alignment.checkpoint import TrainingState
from model.alignment.config import AdapterConfig
from model.alignment.pairs import Pairs
from model.objectives.bimodal import BimodalObjective
from model.training import ranks
from stores.errors import InvalidInput

CHECKPOINT_SECONDS = 15.0
"""Time between two checkpoints. Most alignments take less and have none."""


@dataclass(frozen=True)
class TrainedAdapters:
    """The result of training."""

    adapters: Adapters
    """Adapters of both modalities, on the CPU."""
    losses: tuple[float, ...]
    """Mean loss of each epoch, over the anchors of this rank."""
    temperature: float
    """Mean temperature at the end."""


def train_adapters(
    pairs: Pairs, config: AdapterConfig, device: torch.device, checkpoint_path: Path | None = None
) -> TrainedAdapters:
    """Train the adapters on all pairs, from a checkpoint on if there is one.

    Args:
        pairs: the training pairs.
        config: settings of adapters, objective and training.
        device: device to train on.
        checkpoint_path: file of the checkpoint, which is written every `CHECKPOINT_SECONDS` (default: none).

    Raises:
        InvalidInput: there are fewer pairs than a batch, the ranks cannot share a batch evenly, or the checkpoint was
            made with other settings or pairs.
        CorruptArtifact: the checkpoint is damaged.
    """
    if len(pairs) < config.batch:
        raise InvalidInput(f"--batch must be at most the number of training pairs, {len(pairs)} (got {config.batch})")
    audio, text = (torch.from_numpy(rows).to(device) for rows in (pairs.audio, pairs.text))
    adapters = build_adapters(audio.shape[1], text.shape[1], config.hidden, config.width, config.seed).to(device)
    adapters.audio.standardize_like(audio)
    adapters.text.standardize_like(text)
    objective = BimodalObjective(config.objective, len(pairs)).to(device)
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    own = ranks.local_slice(config.batch)
    state = TrainingState(adapters, objective, optimizer, [0.0] * config.epochs)
    progress = _Progress(checkpoint_path, state, config, pairs.digests)
    with _one_thread(device):
        for step, (epoch, batch) in islice(enumerate(batches(len(pairs), config)), progress.first_step, None):
            optimizer.param_groups[0]["lr"] = learning_rate(config, step, len(pairs))
            rows = batch[own]
            loss = objective(adapters.audio(audio[rows]), adapters.text(text[rows]), rows.to(device), epoch)
            optimizer.zero_grad()
            loss.backward()
            _average_gradients(adapters)
            optimizer.step()
            state.losses[epoch] += float(loss.detach()) / (len(pairs) // config.batch)
            progress.save(step + 1)
    return TrainedAdapters(adapters.cpu(), tuple(state.losses), objective.temperature.average())


class _Progress:
    """The checkpoint of a training, which the main process writes now and then, and all ranks read at the start."""

    def __init__(
        self, path: Path | None, state: TrainingState, config: AdapterConfig, digests: Mapping[str, str]
    ) -> None:
        self._path, self._state, self._config, self._digests = path, state, config, digests
        self.first_step = checkpoint.restore(path, state, config, digests) if path else 0
        self._saved_at = time.monotonic()

    def save(self, step: int) -> None:
        """Write a checkpoint after `step` steps, unless the last one is recent."""
        is_due = time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS
        if self._path and is_due and ranks.is_main_process():
            checkpoint.save(self._path, self._state, step, self._config, self._digests)
            self._saved_at = time.monotonic()


def batches(pairs: int, config: AdapterConfig) -> Iterator[tuple[int, Int64[Tensor, " P"]]]:
    """Yield (epoch, numbers of the pairs of a batch). Pairs that do not fill the last batch of an epoch are left out.

    Every epoch has an order of its own, so that over the epochs all pairs are seen.
    """
    generator = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.epochs):
        order = torch.randperm(pairs, generator=generator)
        for start in range(0, pairs - config.batch + 1, config.batch):
            yield epoch, order[start : start + config.batch]


def learning_rate(config: AdapterConfig, step: int, pairs: int) -> float:
    """Return the learning rate of a step, counted from 0, which falls to 0 along a cosine."""
    steps = config.epochs * (pairs // config.batch)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


@contextlib.contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Compute with one thread on a CPU: the matrices are small, and more threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _average_gradients(adapters: nn.Module) -> None:
    if ranks.is_single_process():
        return
    for weight in adapters.parameters():
        assert weight.grad is not None
        ranks.average_(weight.grad)
