"""Configurations of a probe, and the grids of them that are searched.

The full grid is JukeMIR's (Castellon, Donahue and Liang 2021): 216 configurations. The quick one is a part of it, for
everyday use; its scores are marked as such and are not those of the paper's protocol.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from stores.digest import digest
from stores.errors import InvalidInput

EVALUATE_EVERY_STEPS = 8
"""Steps between two looks at the validation score."""
HIDDEN_UNITS = 512
"""Of the one hidden layer."""
_DROPOUT_STEPS = 256  # dropout is drawn from bytes


@dataclass(frozen=True)
class ProbeConfig:
    """One probe: all that decides its result besides the task's clips."""

    standardised: bool
    """Each feature minus its mean, by its deviation, both of the training clips."""
    hidden: int
    """Units of the hidden layer (ReLU); 0 for a linear probe."""
    batch: int
    """Clips of a step, drawn without replacement; all where there are fewer."""
    learning_rate: float
    """Of Adam."""
    dropout: float
    """Of the features and of the hidden layer, a multiple of 1/256."""
    l2: float
    """Weight decay, added to the gradient as Adam's inventors have it; on weights and biases."""
    seed: int = 0
    """Of the weights at the start, the batches and the dropout."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.hidden < 0 or self.learning_rate <= 0 or self.l2 < 0:
            raise InvalidInput(f"{self}: batch and rate must be positive, hidden units and decay not negative")
        if not 0 <= self.dropout < 1 or self.dropout * _DROPOUT_STEPS % 1:
            raise InvalidInput(f"dropout {self.dropout}: use a multiple of 1/{_DROPOUT_STEPS} from 0 to below 1")

    @property
    def dropped_bytes(self) -> int:
        """Of the 256 values of a byte, how many drop what it was drawn for."""
        return int(self.dropout * _DROPOUT_STEPS)

    def to_dict(self) -> dict[str, Any]:
        """Every field as a JSON value."""
        return asdict(self)

    def digest(self) -> str:
        """Fingerprint of the settings."""
        return digest(self.to_dict())


@dataclass(frozen=True)
class Grid:
    """Which probes are searched, for how long, and what is told of the winner."""

    name: str
    """`full` or `quick`."""
    configs: tuple[ProbeConfig, ...]
    """In the order that decides ties: the first of those that are best on validation is taken."""
    patience: int
    """A probe stops after so many evaluations without a better validation score."""
    seeds: int
    """Seeds of the winner that are scored, its own among them."""
    draws: int
    """Draws of the training clips for each share in label efficiency."""
    most_evaluations: int = 20_000
    """A probe that still gets better is stopped here (160,000 steps); how many were is told."""

    def of(self, configs: tuple[ProbeConfig, ...]) -> Grid:
        """The same search over other configurations."""
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
    draws=3,
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
    draws=1,
)
GRIDS = {grid.name: grid for grid in (FULL, QUICK)}
