"""The training loop: it runs the remaining steps of a run, logs metrics, validates and saves checkpoints.

Ctrl-C, SIGTERM and SIGUSR1 finish the current step, save a checkpoint and stop. With several ranks, rank 0 logs and
saves, and a signal to one of them is a signal to all. On CPUs they exchange signals after each step. On GPUs they do so
at the next line of metrics, where they wait for each other anyway.

Everything that a step needs is a function of (config, step), so a run that is resumed after a kill equals a run that
was never stopped. The host waits for the device only at lines of metrics, at k-NN validations and at checkpoints.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.encoder.kernels.product_choice import ProductChoice, describe_choices
from model.objectives import objective
from model.objectives.geometry import alignment, uniformity
from model.training import checkpoint, metrics_log, optimizer, ranks
from model.training.best import BestCheckpoint
from model.training.config import LoggingConfig, TrainConfig
from model.training.continuation import require_continuable
from model.training.initialization import initialize_from
from model.training.interruption import Request, Requests, defer_interruption
from model.training.knn_validation import KnnValidation
from model.training.learner import build_model
from model.training.step import StepResult, TrainingStep
from model.training.stream import VIEWS, BatchSource, TrainingBatch
from stores import locations
from stores.commit import remove_temporary_files
from stores.errors import MynaError
from stores.progress import Progress
from stores.quantize import Quantizer


class TrainingDiverged(MynaError):
    """A loss, a gradient norm or a weight is NaN or infinite."""


class _Interval:
    """The time and the steps since the last line of metrics."""

    def __init__(self) -> None:
        self.start, self.wait_seconds, self.steps = time.perf_counter(), 0.0, 0


class Run:
    """A training run in its folder.

    Args:
        folder: folder of the run, `runs/NAME`.
        config: settings of the run.
        quantizer: quantizer of the codes of the stream.
        device: device of the weights.
        start: checkpoint whose digest is `config.init`. It is read only if the folder has no checkpoint to resume from.

    Raises:
        InvalidInput: the folder holds a run that cannot be continued with these settings, or `start` does not fit.
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
        self.model = build_model(config).to(device)
        self.objective = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples).to(device)
        self.optimizer = optimizer.build(self.model, config)
        self.step = 0
        self.initialization_message = ""
        """Sentence that states which weights were loaded from `start`, or an empty string."""
        self.product_choices: tuple[ProductChoice, ...] = ()
        """Choice for each matrix product on a GPU, after `train` has begun."""
        self._resume(start)
        self._best = BestCheckpoint(folder, config)

    def train(self, stream: BatchSource, logging: LoggingConfig, validation: KnnValidation | None = None) -> Path:
        """Run all remaining steps and return the path of the finished encoder.

        Raises:
            TrainingDiverged: a loss, a gradient norm or a weight is NaN or infinite. The error names the last good
                checkpoint.
            SaveError: the disk is full. The error names the newest checkpoint.
            KeyboardInterrupt, StoppedBySignal: Ctrl-C was pressed, or a scheduler sent a signal. The current step is
                complete and saved, and the message names its checkpoint.
        """
        self._logging, self._validation, self._validation_text = logging, validation, ""
        self._interval, self._losses = _Interval(), self._losses_since_checkpoint()
        step = self._training_step()
        self.product_choices = step.product_choices
        if line := describe_choices(step.product_choices) if ranks.is_main_process() else "":
            print(line)
        bar = Progress(
            total=self.config.steps, initial=self.step, unit="step", desc="train", disable=not ranks.is_main_process()
        )
        alone = ranks.is_single_process()
        with defer_interruption(logging.on_sigusr1, repeats_interrupt=alone) as requests, bar:
            while self.step < self.config.steps:
                logs = self._logs
                if self.step == self.config.freeze_encoder_steps > 0:
                    step = self._training_step()
                self._train_step(step, stream, bar)
                if logs or alone or self._device.type == "cpu":
                    self._fulfill(requests, bar)
        finished = self.folder / locations.ENCODER_FILE
        if ranks.is_main_process():
            checkpoint.save(finished, self.model, None, self.config, self.step)
        ranks.barrier()
        return finished

    def _training_step(self) -> TrainingStep:
        """Return the computation of the next steps, which trains the head alone as long as the encoder is frozen."""
        is_frozen = self.step < self.config.freeze_encoder_steps
        return TrainingStep(self.model, self.objective, self.config, self.quantizer, is_frozen)

    def _fulfill(self, requests: Requests, bar: Progress) -> None:
        """Save and stop if a signal to any rank asks for it. All ranks leave together, after rank 0 has saved."""
        request = Request(ranks.highest(requests.take(), self._device))
        if request is Request.NONE:
            return
        self._save()
        ranks.barrier()
        where = f"after step {self.step} of {self.config.steps}, saved as {checkpoint.path_of(self.folder, self.step)}"
        request.stop(where)
        if ranks.is_main_process():
            bar.write(f"SIGUSR1 {where}")

    @property
    def _logs(self) -> bool:
        """True if the current step gets a line of metrics."""
        return self.step % self._logging.log_every == 0 or self._is_last or self._validates

    @property
    def _is_last(self) -> bool:
        return self.step + 1 == self.config.steps

    @property
    def _validates(self) -> bool:
        """True if a k-NN validation follows the current step."""
        return self._validation is not None and ((self.step + 1) % self._logging.check_every == 0 or self._is_last)

    def _train_step(self, step: TrainingStep, stream: BatchSource, bar: Progress) -> None:
        logs, validates = self._logs, self._validates
        batch = self._next_batch(stream)
        rate = optimizer.learning_rate(self.config, self.step)
        optimizer.set_learning_rate(self.optimizer, rate)
        result = step.backward(batch, self.step)
        norm = optimizer.clip_gradients(self.model, self.config)
        self.optimizer.step()  # before the loss is read, so that the device does not wait for the host
        row = self._metrics(result, norm, batch.epoch, rate) if logs else {}
        self.step += 1
        if validates:
            row |= self._validate()
        if logs:
            self._log(row, bar)
        bar.update()
        if self.step % self._logging.checkpoint_every == 0 or self.step == self.config.steps:
            self._save(regular=True)

    def _next_batch(self, stream: BatchSource) -> TrainingBatch:
        """Return the batch of the current step, and measure the wait for it."""
        start = time.perf_counter()
        batch = stream.batch(self.step)
        self._interval.wait_seconds += time.perf_counter() - start
        self._interval.steps += 1
        return batch

    def _metrics(self, result: StepResult, norm: Tensor | None, epoch: int, rate: float) -> dict[str, Any]:
        """Return the line of metrics of the current step, whose loss was computed before the weights were updated."""
        loss = float(ranks.mean(result.loss))  # waits for the device
        norms = {} if norm is None else {"gradient_norm": float(norm)}
        for name, value in {"loss": loss, **norms}.items():
            if not math.isfinite(value):
                raise self._diverged(f"the {name.replace('_', ' ')} is {value} at step {self.step}")
        self._losses.append(loss)
        interval, self._interval = self._interval, _Interval()
        seconds = self._interval.start - interval.start
        return {
            "step": self.step,
            "loss": loss,
            "learning_rate": rate,
            **norms,
            **self.objective.metrics(epoch),
            **_geometry(result),
            "data_wait_share": interval.wait_seconds / seconds,
            "windows_per_second": VIEWS * self.config.batch * interval.steps / seconds,
            "unix_seconds": time.time(),
        }

    def _validate(self) -> dict[str, Any]:
        """Run the k-NN validation on rank 0 and return its metrics."""
        if self._validation is None or not ranks.is_main_process():
            return {}
        self._require_finite_weights()  # these weights may become the best ones
        start = time.perf_counter()
        name, accuracy = self._validation.name, self._validation.accuracy(self.model.encoder, self.config.precision)
        if math.isnan(accuracy):
            raise self._diverged(f"embeddings are not finite after {self.step} steps")
        self._best.update(self.model, self.step, f"neighbours: {name}", accuracy)
        self._validation_text = f", {name} {accuracy:.3f}"
        seconds = time.perf_counter() - start
        self._interval.start += seconds  # validation does not count as training time
        return {"neighbours": accuracy, "neighbours_of": name, "neighbours_seconds": seconds}

    def _log(self, row: dict[str, Any], bar: Progress) -> None:
        if ranks.is_main_process():
            try:
                metrics_log.append(self.folder, row)
            except OSError as error:
                raise checkpoint.save_error(self.folder / metrics_log.NAME, error) from error
        bar.set_postfix_str(
            f"loss {row['loss']:.3f}, {row['windows_per_second']:.0f} windows/s, {row['data_wait_share']:.0%} data wait"
            f"{self._validation_text}"
        )

    def _save(self, *, regular: bool = False) -> None:
        """Save a checkpoint on rank 0; only a regular one can update the best weights by loss."""
        # A divergence between two lines of metrics has not been noticed yet and must not reach a checkpoint.
        self._require_finite_weights()
        if ranks.is_main_process():
            if regular and self._validation is None and self._losses and not self.config.objective.has_memory:
                self._best.update(self.model, self.step, "loss", -sum(self._losses) / len(self._losses))
            path = checkpoint.path_of(self.folder, self.step)
            checkpoint.save(path, self.model, self._state, self.config, self.step)
            checkpoint.remove_old(self.folder, self._logging.keep)
        if regular:
            self._losses = []

    def _require_finite_weights(self) -> None:
        finite = torch.stack([parameter.isfinite().all() for parameter in self.model.parameters()])
        if not finite.all():
            raise self._diverged(f"weights are not finite after {self.step} steps")

    @property
    def _state(self) -> checkpoint.TrainingState:
        return checkpoint.TrainingState(self.optimizer, self.objective)

    def _diverged(self, problem: str) -> TrainingDiverged:
        good = checkpoint.newest(self.folder) or "none yet"
        return TrainingDiverged(
            f"{problem}; lower --learning-rate or set --clip-gradient-norm, and choose another --name; last good "
            f"checkpoint: {good}"
        )

    def _resume(self, start: Path | None) -> None:
        """Restore the newest checkpoint of the folder, or initialize a new run from `start` if the settings name it."""
        path = checkpoint.newest(self.folder)
        if path is not None:
            saved = checkpoint.load(path)
            require_continuable(saved.config, self.config, self.folder)
            checkpoint.restore(saved, self.model, self._state)
            self.step = saved.step
        elif self.config.init:
            self.initialization_message = initialize_from(start, self.model, self.config)
        if ranks.is_main_process():
            remove_temporary_files(self.folder, recursive=False)  # other processes write in its subfolders
            metrics_log.truncate(self.folder, self.step)

    def _losses_since_checkpoint(self) -> list[float]:
        """Return the losses since the last regular checkpoint that this run logged before it was interrupted."""
        if not (self.folder / metrics_log.NAME).is_file():
            return []
        first = self.step // self._logging.checkpoint_every * self._logging.checkpoint_every
        return [row["loss"] for row in metrics_log.read(self.folder) if row["step"] >= first]


def _geometry(result: StepResult) -> dict[str, float]:
    """Return alignment and uniformity of the projections of this rank's views, if there are projections."""
    if result.projections is None:
        return {}
    return {"alignment": float(alignment(*result.projections)), "uniformity": float(uniformity(result.projections[0]))}
