"""Steps from where the run stands to its end: measure, log, save; Ctrl-C saves and stops.

Everything a step needs is a function of (config, step), so a run that was killed and goes on equals one that was not.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from model.objectives.geometry import alignment, uniformity
from model.training import checkpoint, optimizer
from model.training.config import TrainConfig
from model.training.learner import Learner
from model.training.step import StepResult, TrainingStep
from model.training.stream import VIEWS, WindowStream
from stores.errors import InvalidInput, MynaError
from stores.quantize import Quantizer


@dataclass(frozen=True)
class Pace:
    """How often a run looks up; none of it changes the result."""

    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: int = 200
    """Steps between two checkpoints."""


class Diverged(MynaError):
    """The loss is not finite any more."""


class Run:
    """One training run in its folder.

    Args:
        folder: `runs/NAME`.
        config: what is trained.
        quantizer: what the stream's codes mean.
        device: where the weights live.
    """

    def __init__(self, folder: Path, config: TrainConfig, quantizer: Quantizer, device: torch.device) -> None:
        self.folder, self.config, self.quantizer = folder, config, quantizer
        self.learner = Learner(config).to(device)
        self.optimizer = optimizer.build(self.learner, config)
        self.step = 0
        self._resume()

    def train(self, stream: WindowStream, pace: Pace) -> Path:
        """Run all steps that are left; returns the path of the finished encoder.

        Raises:
            Diverged: the loss is NaN or infinite; names the last good checkpoint.
            KeyboardInterrupt: after saving where it stands.
        """
        step = TrainingStep(self.learner, self.config, self.quantizer)
        with tqdm(total=self.config.steps, initial=self.step, unit="step", desc="train") as bar:
            try:
                while self.step < self.config.steps:
                    self._one(step, stream, pace, bar)
            except KeyboardInterrupt:
                self._save()
                raise
        finished = self.folder / checkpoint.FINISHED
        checkpoint.save(finished, self.learner, None, self.config, self.step)
        return finished

    def _one(self, step: TrainingStep, stream: WindowStream, pace: Pace, bar: tqdm[None]) -> None:
        began = time.perf_counter()
        batch = stream.batch(self.step)
        waited = time.perf_counter() - began
        rate = optimizer.learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        result = step.backward(batch, self.step)
        if self.step % pace.log_every == 0 or self.step + 1 == self.config.steps:
            self._log(result, rate, waited, time.perf_counter() - began, bar)
        self.optimizer.step()
        self.step += 1
        bar.update()
        if self.step % pace.checkpoint_every == 0 or self.step == self.config.steps:
            self._save()

    def _log(self, result: StepResult, rate: float, waited: float, took: float, bar: tqdm[None]) -> None:
        loss = float(result.loss)
        if not torch.isfinite(result.loss):
            good = checkpoint.newest(self.folder)
            raise Diverged(
                f"the loss is {loss} at step {self.step}; lower --learning-rate; last good checkpoint: {good}"
            )
        row = {
            "step": self.step,
            "loss": loss,
            "learning_rate": rate,
            "alignment": float(alignment(result.first, result.second)),
            "uniformity": float(uniformity(result.first)),
            "data_wait_share": waited / took,
            "windows_per_second": VIEWS * self.config.batch / took,
        }
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        bar.set_postfix_str(
            f"loss {loss:.3f}, {row['windows_per_second']:.0f} windows/s, {waited / took:.0%} data wait"
        )

    def _save(self) -> None:
        path = checkpoint.path_of(self.folder, self.step)
        checkpoint.save(path, self.learner, self.optimizer, self.config, self.step)
        checkpoint.drop_old(self.folder)

    def _resume(self) -> None:
        path = checkpoint.newest(self.folder)
        if path is None:
            return
        saved = checkpoint.load(path)
        require_same(saved.config, self.config, self.folder)
        checkpoint.restore(saved, self.learner, self.optimizer)
        self.step = saved.step
        self._forget_metrics_after(saved.step)

    def _forget_metrics_after(self, step: int) -> None:
        """Drop lines of steps that will be done again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        path.write_text("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step))


def require_same(saved: TrainConfig, asked: TrainConfig, folder: Path) -> None:
    """Check that a run may go on with the settings `asked`.

    Raises:
        InvalidInput: naming each setting that differs.
    """
    before, now = saved.to_dict(), asked.to_dict()
    differing = [f"{key}: {before[key]!r} before, {now[key]!r} now" for key in before if before[key] != now[key]]
    if differing:
        raise InvalidInput(f"{folder} holds a run with other settings; choose another --name:\n" + "\n".join(differing))
