"""The settings of an objective, as plain values that fit into JSON, and the presets.

SogCLR (Yuan et al. 2022), iSogCLR (Qiu et al. 2023) and FastCLIP v0 to v3 (Wei et al. 2024) are one global contrastive
loss. They differ in the schedule of the inner learning rate, in whether each clip has its own temperature, and in
whether the loss is multiplied by the temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

Family = Literal["infonce", "dcl", "mbcl", "global", "mae"]
Schedule = Literal["constant", "cosine"]
TemperatureRule = Literal["constant", "shared", "individual", "individual-momentum", "individual-by-epoch"]

_LABELS = {
    "infonce": "InfoNCE (SimCLR's NT-Xent)",
    "dcl": "decoupled contrastive loss (DCL)",
    "sogclr": "SogCLR",
    "isogclr": "iSogCLR",
    "fastclip-v0": "FastCLIP v0",
    "fastclip-v1": "FastCLIP v1",
    "fastclip-v2": "FastCLIP v2",
    "fastclip-v3": "FastCLIP v3",
    "openclip": "OpenCLIP's mini-batch loss",
    "mae": "masked autoencoder",
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(JsonSettings):
    """An objective and its numbers; numbers that its family does not use have no effect.

    Raises:
        InvalidInput: a choice is unknown, or a number is out of its range.
    """

    name: str
    """Name of the preset, used as a label only."""
    family: Family
    """Loss function that computes the objective."""
    temperature: float = 0.1
    """Temperature of a contrastive loss; the initial value if it is learned."""
    temperature_rule: TemperatureRule = "constant"
    """Kind of temperature: constant, learned and shared by all clips, or learned for each clip, by Adam in its
    logarithm, by gradient descent with momentum (individual-momentum, the rule of libauc), or by Adam in itself with
    steps counted by epochs (individual-by-epoch, the rule of FastCLIP's code)."""
    temperature_learning_rate: float = 0.0
    """Learning rate of Adam for the logarithm of learned temperatures; 0.01 changes them by at most 1 % per step. For
    individual-momentum and individual-by-epoch, the learning rate of the temperature itself."""
    lowest_temperature: float = 0.01
    """Lower bound of learned temperatures."""
    highest_temperature: float = 1.0
    """Upper bound of learned temperatures."""
    rho: float = 0.0
    """Distance in nats of the weights of the negatives from equal weights that learned temperatures aim at."""
    scaled: bool = True
    """True if the loss is multiplied by the temperature."""
    gamma: float = 1.0
    """Inner learning rate at its lowest: the weight of the current batch in the moving average over visits."""
    gamma_schedule: Schedule = "constant"
    """Schedule of gamma: constant, or a cosine that falls from 1 to gamma."""
    gamma_decay_epochs: int = 1
    """Number of epochs of the cosine."""

    @property
    def label(self) -> str:
        """Name in words, for pages and tables."""
        return _LABELS.get(self.name, self.name)

    def __post_init__(self) -> None:
        for field, choices in (("family", Family), ("temperature_rule", TemperatureRule), ("gamma_schedule", Schedule)):
            if getattr(self, field) not in get_args(choices):
                raise InvalidInput(
                    f"{field} must be one of {', '.join(get_args(choices))} (got {getattr(self, field)!r})"
                )
        if not 0 < self.temperature < math.inf:
            raise InvalidInput(
                f"temperature must be positive and finite (got {self.temperature}); the published value is 0.1"
            )
        if not 0 < self.gamma <= 1:
            raise InvalidInput(
                f"gamma must be greater than 0 and at most 1 (got {self.gamma}); published values are 0.9 and 0.2"
            )
        if self.gamma_decay_epochs < 1:
            raise InvalidInput(
                f"gamma_decay_epochs must be at least 1 (got {self.gamma_decay_epochs}); FastCLIP uses half of the "
                "epochs of the run"
            )
        if self.temperature_rule != "constant":
            self._require_learnable()

    def _require_learnable(self) -> None:
        if not 0 < self.lowest_temperature <= self.temperature <= self.highest_temperature < math.inf:
            raise InvalidInput(
                f"temperature must start within [{self.lowest_temperature}, {self.highest_temperature}] for "
                f"{self.name}, which learns it (got {self.temperature})"
            )
        if not 0 <= self.rho < math.inf:
            raise InvalidInput(f"rho must be at least 0 and finite (got {self.rho})")
        if not 0 < self.temperature_learning_rate < math.inf:
            raise InvalidInput(
                f"temperature_learning_rate must be positive and finite (got {self.temperature_learning_rate})"
            )

    @property
    def has_memory(self) -> bool:
        """True if the objective keeps a state for each clip."""
        return self.family == "global"

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the numbers that the objective uses and that a run may set; other numbers have no effect."""
        learns_temperature = self.has_memory and self.temperature_rule != "constant"
        used = {
            "temperature": self.family != "mae",
            "gamma": self.has_memory,
            "gamma_decay_epochs": self.has_memory and self.gamma_schedule == "cosine",
            "rho": learns_temperature and self.scaled,
            "temperature_learning_rate": learns_temperature,
        }
        return tuple(name for name, is_used in used.items() if is_used)

    def inner_learning_rate(self, epoch: int) -> float:
        """Return gamma in `epoch`, counted from 0; it lies in (0, 1].

        It is constant, or follows the cosine of FastCLIP (Wei et al. 2024), which falls from epoch to epoch. With E
        decay epochs it is gamma + (1 - gamma) (1 + cos(pi epoch / E)) / 2, and gamma from epoch E on.
        """
        if self.gamma_schedule == "constant" or epoch >= self.gamma_decay_epochs:
            return self.gamma
        return self.gamma + (1 - self.gamma) * 0.5 * (1 + math.cos(math.pi * epoch / self.gamma_decay_epochs))


def preset(name: str) -> ObjectiveConfig:
    """Return the preset with this name.

    Raises:
        InvalidInput: no preset has this name; the message lists the names.
    """
    if name not in PRESETS:
        raise InvalidInput(f"objective must be one of {', '.join(PRESETS)} (got {name!r})")
    return PRESETS[name]


def _global(name: str, gamma: float, schedule: Schedule, rule: TemperatureRule, **numbers: Any) -> ObjectiveConfig:
    return ObjectiveConfig(
        name=name, family="global", gamma=gamma, gamma_schedule=schedule, gamma_decay_epochs=18,
        temperature_rule=rule, **numbers,
    )  # fmt: skip


# The numbers of sogclr and isogclr are the defaults of libauc's GCLoss_v1, which is made for two views of one modality.
# The numbers of FastCLIP come from the commands that its authors publish for CC3M, with 37 epochs of image-text pairs.
# The initial temperature is 0.03 in the command of v2, and the default of their code, 0.07, in the others. The
# temperature of v0 has the learning rate of the model.
PRESETS: dict[str, ObjectiveConfig] = {
    config.name: config
    for config in (
        ObjectiveConfig(name="infonce", family="infonce"),
        ObjectiveConfig(name="dcl", family="dcl"),
        ObjectiveConfig(name="mbcl", family="mbcl"),
        ObjectiveConfig(name="mae", family="mae"),
        _global("sogclr", 0.9, "constant", "constant"),
        _global("isogclr", 0.9, "constant", "individual-momentum", temperature_learning_rate=0.01, rho=0.3,
                lowest_temperature=0.05, highest_temperature=0.7),
        _global("fastclip-v0", 0.2, "cosine", "shared", temperature=0.07, temperature_learning_rate=1e-3, scaled=False),
        _global("fastclip-v1", 0.2, "cosine", "constant", temperature=0.07),
        _global("fastclip-v2", 0.2, "cosine", "individual", temperature=0.03, temperature_learning_rate=0.0133,
                rho=7.0),
        _global("fastclip-v3", 0.2, "cosine", "shared", temperature=0.07, temperature_learning_rate=2e-4, rho=6.5),
    )
}  # fmt: skip
