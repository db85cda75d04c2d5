"""Steps from where the run stands to its end: measure, log, check, save; Ctrl-C ends the step, saves and stops.

Of several ranks one logs and saves; all see Ctrl-C at the next line of metrics, where they wait for each other anyhow.

Everything a step needs is a function of (config, step), so a run that was killed and goes on equals one that was not.
The host waits for the device at lines of metrics, checks and checkpoints, at no other step.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from model.objectives import objective
from model.objectives.geometry import alignment, uniformity
from model.training import checkpoint, initialization, learner, metrics_log, optimizer, ranks
from model.training.best import Best
from model.training.config import TrainConfig
from model.training.interruption import held_back
from model.training.knn_validation import KnnValidation
from model.training.step import StepResult, TrainingStep
from model.training.stream import VIEWS, BatchSource
from stores import locations
from stores.errors import InvalidInput, MynaError
from stores.quantize import Quantizer


@dataclass(frozen=True)
class LoggingConfig:
    """How often a run looks up; none of it changes the result, and a run may go on at another pace.

    Raises:
        InvalidInput: a number is below 1.
    """

    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: int = 200
    """Steps between two checkpoints."""
    check_every: int = 500
    """Steps between two online checks, if there is one."""
    keep: int = 2
    """Checkpoints that are kept, the last ones."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise InvalidInput(f"{field.name} is {getattr(self, field.name)}; give 1 or more")


class TrainingDiverged(MynaError):
    """The loss or the weights are not finite any more."""


class _Lap:
    """What has passed since the last line of metrics."""

    def __init__(self) -> None:
        self.began, self.waited, self.steps = time.perf_counter(), 0.0, 0


class Run:
    """One training run in its folder.

    Args:
        folder: `runs/NAME`.
        config: what is trained.
        quantizer: what the stream's codes mean.
        device: where the weights live.
        start: the checkpoint that `config.init` is the digest of; read if there is none in the folder to go on from.

    Raises:
        InvalidInput: the folder holds a run with other settings, or the start does not fit.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        quantizer: Quantizer,
        device: torch.device,
        start: Path | None = None,
    ) -> None:
        self.folder, self.config, self.quantizer, self._device = folder, config, quantizer, device
        self.learner = learner.build(config).to(device)
        self.objective = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples).to(device)
        self.optimizer = optimizer.build(self.learner, config)
        self.step = 0
        self.taken = ""
        """What was taken from `start`, in words; empty where nothing was."""
        self._resume(start)
        self._best = Best(folder, config)

    def train(self, stream: BatchSource, pace: LoggingConfig, check: KnnValidation | None = None) -> Path:
        """Run all steps that are left; returns the path of the finished encoder.

        Raises:
            Diverged: the loss, its gradient or a weight is NaN or infinite; names the last good checkpoint.
            NotSaved: the disk is full; names what is kept.
            KeyboardInterrupt: after the step in hand, and after saving where it stands; says where that is.
        """
        self._pace, self._check, self._lap, self._found = pace, check, _Lap(), ""
        self._losses = self._losses_since_checkpoint()
        step = TrainingStep(self.learner, self.objective, self.config, self.quantizer)
        bar = tqdm(
            total=self.config.steps, initial=self.step, unit="step", desc="train", disable=not ranks.is_main_process()
        )
        with held_back() as interrupted, bar:
            while self.step < self.config.steps:
                looks = self._looks()
                self._one(step, stream, bar)
                if (looks or ranks.is_single_process()) and ranks.anyone(interrupted(), self._device):
                    self._save()
                    kept = checkpoint.path_of(self.folder, self.step)
                    raise KeyboardInterrupt(f"after step {self.step} of {self.config.steps}, which {kept} holds")
        finished = self.folder / locations.ENCODER_FILE
        if ranks.is_main_process():
            checkpoint.save(finished, self.learner, None, self.config, self.step)
        ranks.wait()
        return finished

    def _looks(self) -> bool:
        """Whether the step in hand gets a line of metrics."""
        return self.step % self._pace.log_every == 0 or self._is_last or self._checks

    @property
    def _is_last(self) -> bool:
        return self.step + 1 == self.config.steps

    @property
    def _checks(self) -> bool:
        """Whether the online check looks at what the step in hand leaves."""
        return self._check is not None and ((self.step + 1) % self._pace.check_every == 0 or self._is_last)

    def _one(self, step: TrainingStep, stream: BatchSource, bar: tqdm[None]) -> None:
        looks, checks = self._looks(), self._checks
        began = time.perf_counter()
        batch = stream.batch(self.step)
        self._lap.waited += time.perf_counter() - began
        self._lap.steps += 1
        rate = optimizer.learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        result = step.backward(batch, self.step)
        norm = optimizer.clip_gradients(self.learner, self.config)
        row = self._measure(result, norm, batch.epoch, rate) if looks else {}
        self.optimizer.step()
        self.step += 1
        if checks:
            row |= self._check_neighbours()
        if looks:
            self._log(row, bar)
        bar.update()
        if self.step % self._pace.checkpoint_every == 0 or self.step == self.config.steps:
            self._save(regular=True)

    def _measure(self, result: StepResult, norm: Tensor | None, epoch: int, rate: float) -> dict[str, Any]:
        """The line of metrics of the step in hand, before its weights move."""
        loss = float(ranks.mean(result.loss))  # waits for the device
        length = {} if norm is None else {"gradient_norm": float(norm)}
        for what, value in {"loss": loss, **length}.items():
            if not math.isfinite(value):
                raise self._diverged(f"the {what.replace('_', ' ')} is {value} at step {self.step}")
        self._losses.append(loss)
        lap, self._lap = self._lap, _Lap()
        took = self._lap.began - lap.began
        return {
            "step": self.step,
            "loss": loss,
            "learning_rate": rate,
            **length,
            **self.objective.readings(epoch),
            **_geometry(result),
            "data_wait_share": lap.waited / took,
            "windows_per_second": VIEWS * self.config.batch * lap.steps / took,
            "unix_seconds": time.time(),
        }

    def _check_neighbours(self) -> dict[str, Any]:
        if self._check is None or not ranks.is_main_process():
            return {}
        self._require_finite()  # what is looked at may become the best
        began = time.perf_counter()
        accuracy = self._check.accuracy(self.learner.encoder, self.config.precision)
        if math.isnan(accuracy):
            raise self._diverged(f"embeddings are not finite after {self.step} steps")
        self._best.offer(self.learner, self.step, f"neighbours: {self._check.name}", accuracy)
        self._found = f", {self._check.name} {accuracy:.3f}"
        took = time.perf_counter() - began
        self._lap.began += took  # it is no part of training
        return {"neighbours": accuracy, "neighbours_of": self._check.name, "neighbours_seconds": took}

    def _log(self, row: dict[str, Any], bar: tqdm[None]) -> None:
        if ranks.is_main_process():
            try:
                metrics_log.append(self.folder, row)
            except OSError as error:
                raise checkpoint.not_saved(self.folder / metrics_log.NAME, error) from error
        bar.set_postfix_str(
            f"loss {row['loss']:.3f}, {row['windows_per_second']:.0f} windows/s, {row['data_wait_share']:.0%} data wait"
            f"{self._found}"
        )

    def _save(self, *, regular: bool = False) -> None:
        # a step between two lines of metrics can diverge unseen, and must not become the last good checkpoint
        self._require_finite()
        if ranks.is_main_process():
            if regular and self._check is None and self._losses and not self.config.objective.remembers:
                self._best.offer(self.learner, self.step, "loss", -sum(self._losses) / len(self._losses))
            path = checkpoint.path_of(self.folder, self.step)
            checkpoint.save(path, self.learner, self._progress, self.config, self.step)
            checkpoint.drop_old(self.folder, self._pace.keep)
        if regular:
            self._losses = []

    def _require_finite(self) -> None:
        finite = torch.stack([parameter.isfinite().all() for parameter in self.learner.parameters()])
        if not finite.all():
            raise self._diverged(f"weights are not finite after {self.step} steps")

    @property
    def _progress(self) -> checkpoint.TrainingState:
        return checkpoint.TrainingState(self.optimizer, self.objective)

    def _diverged(self, what: str) -> TrainingDiverged:
        good = checkpoint.newest(self.folder) or "none yet"
        return TrainingDiverged(
            f"{what}; lower --learning-rate, or give --clip-gradient-norm, under another --name; last good "
            f"checkpoint: {good}"
        )

    def _resume(self, start: Path | None) -> None:
        path = checkpoint.newest(self.folder)
        if path is not None:
            saved = checkpoint.load(path)
            require_same(saved.config, self.config, self.folder)
            checkpoint.restore(saved, self.learner, self._progress)
            self.step = saved.step
        elif self.config.init:
            self.taken = initialization.take(start, self.learner, self.config)
        if ranks.is_main_process():
            checkpoint.drop_half_written(self.folder)
            metrics_log.truncate(self.folder, self.step)

    def _losses_since_checkpoint(self) -> list[float]:
        """Losses that an earlier try has logged since the last regular checkpoint."""
        if not (self.folder / metrics_log.NAME).is_file():
            return []
        first = self.step // self._pace.checkpoint_every * self._pace.checkpoint_every
        return [row["loss"] for row in metrics_log.read(self.folder) if row["step"] >= first]


def _geometry(result: StepResult) -> dict[str, float]:
    """How the embeddings of this rank's views lie on the sphere, where there are any."""
    if result.pair is None:
        return {}
    return {"alignment": float(alignment(*result.pair)), "uniformity": float(uniformity(result.pair[0]))}


def require_same(saved: TrainConfig, asked: TrainConfig, folder: Path) -> None:
    """Check that a run may go on with the settings `asked`.

    Raises:
        InvalidInput: naming each setting that differs.
    """
    before, now = saved.to_dict(), asked.to_dict()
    # one by one, not the objective as a whole: who changed a temperature need not read ten other numbers
    before |= before.pop("objective")
    now |= now.pop("objective")
    differing = [f"{key}: {before[key]!r} before, {now[key]!r} now" for key in before if before[key] != now[key]]
    if differing:
        raise InvalidInput(f"{folder} holds a run with other settings; choose another --name:\n" + "\n".join(differing))
