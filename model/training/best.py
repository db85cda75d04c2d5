"""best.safetensors: the best weights of a run so far, stored beside its latest checkpoints.

If there is a k-NN validation, the best weights are those with its highest accuracy. Otherwise they are those with the
lowest loss, averaged over the lines of metrics since the last regular checkpoint. This requires that losses of
different steps can be compared. For an objective that remembers clips they cannot be compared, because its memory
changes during training and the loss changes with it. In that case no best weights are stored.

A training loss falls for as long as the learning rate does, so the best weights by loss are mostly the last ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from model.training import checkpoint
from model.training.config import TrainConfig
from stores.errors import CorruptArtifact

NAME = "best.safetensors"


class BestCheckpoint:
    """The best weights of the run in `folder`, including those that this run stored before it was interrupted."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self._path, self._config = folder / NAME, config
        self.criterion, self.score = self._read_stored_score()

    def update(self, model: nn.Module, step: int, criterion: str, score: float) -> None:
        """Store the weights of `model` if `score` is higher than all previous scores.

        Args:
            model: the model, whose weights are finite.
            step: steps done.
            criterion: the quantity that was scored. Scores of different criteria are not compared: the first score of
                a new criterion replaces the stored one.
            score: score of the weights; higher is better.

        Raises:
            SaveError: the file could not be written.
        """
        if criterion == self.criterion and score <= self.score:
            return
        checkpoint.save(self._path, model, None, self._config, step, {"by": criterion, "score": repr(score)})
        self.criterion, self.score = criterion, score

    def _read_stored_score(self) -> tuple[str, float]:
        no_score = "", float("-inf")
        if not self._path.is_file():
            return no_score
        try:
            header = checkpoint.read_header(self._path)
            is_of_this_run = _without_steps(checkpoint.read_config(self._path)) == _without_steps(self._config)
            return (header["by"], float(header["score"])) if is_of_this_run else no_score
        except (CorruptArtifact, KeyError, ValueError):
            return no_score  # a file that this class did not write is replaced by the next update


def _without_steps(config: TrainConfig) -> TrainConfig:
    """Return the settings without the number of steps, which a run that is extended may change."""
    return replace(config, steps=1)
