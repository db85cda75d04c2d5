"""What is minimised, as plain facts that fit into JSON; the presets are one table.

SogCLR (Yuan et al. 2022), iSogCLR (Qiu et al. 2023) and FastCLIP v0 to v3 (Wei et al. 2024) are one global contrastive
loss. They differ in how the inner learning rate moves, in who has a temperature of his own, and in whether the loss is
multiplied by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from stores.errors import InvalidInput

Family = Literal["infonce", "mbcl", "global", "mae"]
Schedule = Literal["constant", "cosine"]
TemperatureRule = Literal["constant", "shared", "individual"]


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """One objective with its numbers; those that its family does not read change nothing.

    Raises:
        InvalidInput: a choice is unknown, or a number is out of its range.
    """

    name: str
    """Preset it came from; a label only."""
    family: Family
    """Which code computes it."""
    temperature: float = 0.1
    """Of the contrastive losses; where it is learned, what it starts from."""
    temperature_rule: TemperatureRule = "constant"
    """Constant, one that is learned and shared by all clips, or one that is learned for each clip."""
    temperature_learning_rate: float = 0.0
    """Adam's, for the logarithm of learned temperatures: 0.01 moves one by 1 % a step, at most."""
    lowest_temperature: float = 0.01
    """Learned ones stay above."""
    highest_temperature: float = 1.0
    """Learned ones stay below."""
    rho: float = 0.0
    """Nats that the weights of an anchor's negatives shall differ from equal ones; sets learned temperatures."""
    scaled: bool = True
    """Whether the loss is multiplied by the temperature."""
    gamma: float = 1.0
    """Inner learning rate, at its lowest: share of the batch at hand in the moving average over visits."""
    gamma_schedule: Schedule = "constant"
    """How it gets there: at once, or by a cosine from 1."""
    gamma_decay_epochs: int = 1
    """Epochs that the cosine takes."""

    def __post_init__(self) -> None:
        for field, choices in (("family", Family), ("temperature_rule", TemperatureRule), ("gamma_schedule", Schedule)):
            if getattr(self, field) not in get_args(choices):
                raise InvalidInput(f"{field} is {getattr(self, field)!r}; use one of {', '.join(get_args(choices))}")
        if not 0 < self.temperature < math.inf:
            raise InvalidInput(f"temperature {self.temperature}; it must be positive and finite: 0.1 is published")
        if not 0 < self.gamma <= 1 or self.gamma_decay_epochs < 1:
            raise InvalidInput(
                f"gamma {self.gamma}, over {self.gamma_decay_epochs} epochs; needs 0 < gamma <= 1 and an epoch: 0.9 "
                "and 0.2 are published, and half of the run's epochs"
            )
        if self.temperature_rule != "constant":
            self._require_learnable()

    def _require_learnable(self) -> None:
        if not 0 < self.lowest_temperature <= self.temperature <= self.highest_temperature < math.inf:
            raise InvalidInput(
                f"temperature {self.temperature} of {self.name}; a learned one must start within "
                f"[{self.lowest_temperature}, {self.highest_temperature}]"
            )
        if not (0 <= self.rho < math.inf and 0 < self.temperature_learning_rate < math.inf):
            raise InvalidInput(
                f"rho {self.rho}, temperature learning rate {self.temperature_learning_rate}: need at least 0 and more "
                "than 0, both finite"
            )

    @property
    def remembers(self) -> bool:
        """Whether it keeps a state for each clip."""
        return self.family == "global"

    @property
    def options(self) -> tuple[str, ...]:
        """The numbers that it reads and that a run may be told: others would change nothing."""
        read = {
            "temperature": self.family != "mae",
            "gamma": self.remembers,
            "gamma_decay_epochs": self.remembers and self.gamma_schedule == "cosine",
            "rho": self.remembers and self.temperature_rule != "constant" and self.scaled,
            "temperature_learning_rate": self.remembers and self.temperature_rule != "constant",
        }
        return tuple(name for name, does in read.items() if does)

    def inner_learning_rate(self, epoch: int) -> float:
        """Gamma of `epoch`, counted from 0, in (0, 1]: constant, or FastCLIP's cosine, which falls epoch by epoch.

        Wei et al. 2024, E being the decay epochs: gamma + (1 - gamma) (1 + cos(pi epoch / E)) / 2, then gamma.
        """
        if self.gamma_schedule == "constant" or epoch >= self.gamma_decay_epochs:
            return self.gamma
        return self.gamma + (1 - self.gamma) * 0.5 * (1 + math.cos(math.pi * epoch / self.gamma_decay_epochs))

    def to_dict(self) -> dict[str, Any]:
        """Every field as a JSON value; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ObjectiveConfig:
        """Rebuild what `to_dict` wrote.

        Raises:
            InvalidInput: unknown or missing keys, which it names, or a value is refused.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise InvalidInput(f"settings of the objective differ from this version's in {sorted(names ^ set(values))}")
        return cls(**values)


def preset(name: str) -> ObjectiveConfig:
    """The objective of that name.

    Raises:
        InvalidInput: no preset has this name; the message lists those there are.
    """
    if name not in PRESETS:
        raise InvalidInput(f"objective {name!r} is unknown; there are {', '.join(PRESETS)}: choose one of these")
    return PRESETS[name]


def _global(name: str, gamma: float, schedule: Schedule, rule: TemperatureRule, **more: Any) -> ObjectiveConfig:
    return ObjectiveConfig(
        name=name, family="global", gamma=gamma, gamma_schedule=schedule, gamma_decay_epochs=18,
        temperature_rule=rule, **more,
    )  # fmt: skip


# Numbers of sogclr and isogclr: the defaults of libauc's GCLoss_v1, which is made for two views of one modality. Those
# of FastCLIP: the commands that its authors publish for CC3M, 37 epochs of image-text pairs; v0 learns at the model's
# rate.
PRESETS: dict[str, ObjectiveConfig] = {
    config.name: config
    for config in (
        ObjectiveConfig(name="infonce", family="infonce"),
        ObjectiveConfig(name="mbcl", family="mbcl"),
        ObjectiveConfig(name="mae", family="mae"),
        _global("sogclr", 0.9, "constant", "constant"),
        _global("isogclr", 0.9, "constant", "individual", temperature_learning_rate=0.01, rho=0.3,
                lowest_temperature=0.05, highest_temperature=0.7),
        _global("fastclip-v0", 0.2, "cosine", "shared", temperature_learning_rate=1e-3, scaled=False),
        _global("fastclip-v1", 0.2, "cosine", "constant"),
        _global("fastclip-v2", 0.2, "cosine", "individual", temperature_learning_rate=0.0133, rho=7.0),
        _global("fastclip-v3", 0.2, "cosine", "shared", temperature_learning_rate=2e-4, rho=6.5),
    )
}  # fmt: skip
