"""Presets of the objectives in their bimodal form, in which a clip is compared with the texts of other clips.

The numbers are those of the commands that the authors of FastCLIP (Wei et al. 2024) publish for CC3M. sogclr and
isogclr are v1 and v2 with a constant gamma, as in the paper, and keep libauc's gamma of 0.9. mbcl is the loss of CLIP
and OpenCLIP, which learn its temperature. infonce is the same loss with a constant temperature, because the negatives
of InfoNCE are N - 1 texts if the two sides are different modalities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.objectives.config import ObjectiveConfig
from stores.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class BimodalConfig(ObjectiveConfig):
    """An objective between two modalities and its numbers.

    Raises:
        InvalidInput: a choice is unknown, or a number is out of its range.
    """

    slower_at: float = 0.0
    """Temperature at and below which the learning rate of a shared temperature is a third; 0 for never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.slower_at <= self.highest_temperature:
            raise InvalidInput(
                f"slower_at must be from 0 to {self.highest_temperature} (got {self.slower_at}); FastCLIP v3 has 0.03"
            )

    @property
    def learns_temperature(self) -> bool:
        """True if the temperature is learned."""
        return self.temperature_rule != "constant"

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the numbers that the objective uses and that a run may set; other numbers have no effect."""
        used = {
            "temperature": True,
            "gamma": self.has_memory,
            "gamma_decay_epochs": self.has_memory and self.gamma_schedule == "cosine",
            "rho": self.temperature_rule == "individual-by-epoch" or (self.learns_temperature and self.scaled),
            "temperature_learning_rate": self.learns_temperature,
        }
        return tuple(name for name, is_used in used.items() if is_used)


def bimodal_preset(name: str) -> BimodalConfig:
    """Return the bimodal preset with this name.

    Raises:
        InvalidInput: no preset has this name; the message lists the names.
    """
    if name not in BIMODAL_PRESETS:
        raise InvalidInput(f"objective must be one of {', '.join(BIMODAL_PRESETS)} (got {name!r})")
    return BIMODAL_PRESETS[name]


_CONSTANT = {"gamma": 0.9, "gamma_schedule": "constant"}
_COSINE = {"gamma": 0.2, "gamma_schedule": "cosine", "gamma_decay_epochs": 18}
_SHARED: dict[str, Any] = {"temperature_rule": "shared"}
_INDIVIDUAL = {
    **{"temperature_rule": "individual-by-epoch", "temperature": 0.03, "temperature_learning_rate": 0.0133},
    "rho": 7.0,
}


def _preset(name: str, family: str, *numbers: dict[str, Any]) -> BimodalConfig:
    merged: dict[str, Any] = {"temperature": 0.07, "scaled": False}
    for each in numbers:
        merged |= each
    return BimodalConfig(name=name, family=family, **merged)  # type: ignore[arg-type]


# The published commands of v1 and v2 leave out --multiply_tau, so their losses are not multiplied by the temperature.
BIMODAL_PRESETS: dict[str, BimodalConfig] = {
    config.name: config
    for config in (
        _preset("infonce", "infonce"),
        _preset("mbcl", "mbcl", _SHARED, {"temperature_learning_rate": 1e-3}),
        _preset("sogclr", "global", _CONSTANT),
        _preset("isogclr", "global", _CONSTANT, _INDIVIDUAL),
        _preset("fastclip-v0", "global", _COSINE, _SHARED, {"temperature_learning_rate": 1e-3}),
        _preset("fastclip-v1", "global", _COSINE),
        _preset("fastclip-v2", "global", _COSINE, _INDIVIDUAL),
        _preset("fastclip-v3", "global", _COSINE, _SHARED,
                {"temperature_learning_rate": 2e-4, "rho": 6.5, "scaled": True, "slower_at": 0.03}),
    )
}  # fmt: skip
