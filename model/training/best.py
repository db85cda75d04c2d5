"""best.safetensors: the weights of a run that did best so far, beside those of its last steps.

Best is the highest score of the online check, where there is one. Without one it is the lowest loss, the mean over the
lines of metrics since the last regular checkpoint; but only where losses of different steps can be compared. Those of
an objective that remembers clips cannot: its memory, and with it the loss, moves as it learns. Then no best is kept.

A training loss falls as long as the learning rate does, so by loss the best is mostly the last.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from model.training import checkpoint
from model.training.config import TrainConfig
from stores.errors import CorruptArtifact

NAME = "best.safetensors"


class Best:
    """Keeps the best weights of the run in `folder`; goes on with those of an earlier try of the same run."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self._path, self._config = folder / NAME, config
        self.by, self.score = self._found()

    def offer(self, learner: nn.Module, step: int, by: str, score: float) -> None:
        """Keep the learner as it is after `step` steps if its score is higher than all before it.

        Args:
            learner: with finite weights.
            step: steps done.
            by: what the score is; scores of another kind are not compared, the new kind starts over.
            score: higher is better.

        Raises:
            NotSaved: the file system does not take it.
        """
        if by == self.by and score <= self.score:
            return
        checkpoint.save(self._path, learner, None, self._config, step, {"by": by, "score": repr(score)})
        self.by, self.score = by, score

    def _found(self) -> tuple[str, float]:
        nothing = "", float("-inf")
        if not self._path.is_file():
            return nothing
        try:
            header = checkpoint.header(self._path)
            of_this_run = json.loads(header["config"]) == self._config.to_dict()
            return (header["by"], float(header["score"])) if of_this_run else nothing
        except (CorruptArtifact, KeyError, ValueError):
            return nothing  # not one of ours: the next one takes its place
