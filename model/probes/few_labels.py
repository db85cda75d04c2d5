"""Probes with few labels: only some training groups carry one, and the mean over several draws of them is scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.probes.linear import ProbeResult, probe
from model.probes.task import Task
from stores.errors import InvalidInput


@dataclass(frozen=True)
class FewLabels:
    """How many labels, drawn how often."""

    train_groups: int
    """Training groups (pieces, songs) that carry labels."""
    draws: int = 5
    """Draws of them, with the seeds 0, 1, ...; what is scored is the mean, clip by clip."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InvalidInput(f"{self.draws} draws were asked for; at least one is needed")

    def probe(self, task: Task) -> ProbeResult:
        """The mean over all draws; the same groups are drawn whatever the representation.

        Raises:
            InvalidInput: the task has fewer groups, or a draw fewer than two classes.
        """
        drawn = [probe(task.with_train_groups(self.train_groups, seed)) for seed in range(self.draws)]
        return ProbeResult(
            inverse_l2=float(np.median([one.inverse_l2 for one in drawn])),
            valid_accuracy=float(np.mean([one.valid_accuracy for one in drawn])),
            predictions=drawn[0].predictions,
            correct=np.mean([one.correct for one in drawn], axis=0),
        )
