"""Configurations of a probe, and the grids of configurations that are searched.

The full grid is that of JukeMIR (Castellon, Donahue and Liang 2021) with 216 configurations. The quick grid is a subset
of it for everyday use. Scores of the quick grid are marked, because they do not follow the protocol of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from stores.digest import digest
from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

EVALUATE_EVERY_STEPS = 8
"""Steps between two evaluations on the validation clips."""
HIDDEN_UNITS = 512
"""Units of the hidden layer of the probes that have one."""
_DROPOUT_LEVELS = 256  # dropout compares random bytes with a threshold


@dataclass(frozen=True)
class ProbeConfig(JsonSettings):
    """Settings of one probe. Together with the clips of the task they determine its result."""

    standardised: bool
    """True to subtract the mean of each feature and divide by its deviation, both computed on the training clips."""
    hidden: int
    """Units of the hidden layer (ReLU), or 0 for a linear probe."""
    batch: int
    """Clips per step, drawn without replacement. All clips are used if there are fewer."""
    learning_rate: float
    """Learning rate of Adam."""
    dropout: float
    """Dropout rate of the features and of the hidden layer, a multiple of 1/256."""
    l2: float
    """L2 penalty on weights and biases. It is added to the gradient, as in the Adam paper."""
    seed: int = 0
    """Seed of the initial weights, the batches and the dropout."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.hidden < 0 or self.learning_rate <= 0 or self.l2 < 0:
            raise InvalidInput(
                "batch and learning_rate must be positive, and hidden and l2 must be at least 0 "
                f"(got batch {self.batch}, learning_rate {self.learning_rate}, hidden {self.hidden}, l2 {self.l2})"
            )
        if not 0 <= self.dropout < 1 or self.dropout * _DROPOUT_LEVELS % 1:
            raise InvalidInput(
                f"dropout must be a multiple of 1/{_DROPOUT_LEVELS}, at least 0 and less than 1 (got {self.dropout})"
            )

    @property
    def dropout_threshold(self) -> int:
        """Random bytes below this number, 0 to 255, drop the value that they belong to."""
        return int(self.dropout * _DROPOUT_LEVELS)

    def digest(self) -> str:
        """Return the digest of the settings."""
        return digest(self.to_dict())


@dataclass(frozen=True)
class Grid:
    """The configurations that are searched, the rules that stop them, and the further training of the winning one."""

    name: str
    """`full` or `quick`."""
    configs: tuple[ProbeConfig, ...]
    """Configurations. If several are equally good on validation, the first one wins."""
    patience: int
    """Evaluations in a row without a better validation score after which a probe stops."""
    seeds: int
    """Number of seeds with which the winning configuration is scored, including its own."""
    subsets_per_share: int
    """Random label subsets of each size in the label efficiency."""
    max_evaluations: int = 20_000
    """Evaluations after which a probe is stopped (160,000 steps). The scores record how many probes it stopped."""

    def with_configs(self, configs: tuple[ProbeConfig, ...]) -> Grid:
        """Return the same grid with other configurations."""
        return replace(self, configs=configs)


def _configs(**choices: tuple[Any, ...]) -> tuple[ProbeConfig, ...]:
    return tuple(ProbeConfig(**dict(zip(choices, values, strict=True))) for values in product(*choices.values()))


FULL = Grid(
    name="full",
    configs=_configs(
        standardised=(False, True),
        hidden=(0, HIDDEN_UNITS),
        batch=(64, 256),
        learning_rate=(1e-5, 1e-4, 1e-3),
        dropout=(0.25, 0.5, 0.75),
        l2=(0.0, 1e-4, 1e-3),
    ),
    patience=256,
    seeds=5,
    subsets_per_share=3,
)
QUICK = Grid(
    name="quick",
    configs=_configs(
        standardised=(True,),
        hidden=(0, HIDDEN_UNITS),
        batch=(64,),
        learning_rate=(1e-3,),
        dropout=(0.25, 0.5, 0.75),
        l2=(1e-3,),
    ),
    patience=32,
    seeds=5,
    subsets_per_share=1,
)
GRIDS = {grid.name: grid for grid in (FULL, QUICK)}
