"""What a training run is, resolved to the last number: the settings that change its result, and those that do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from model.encoder.config import EncoderConfig
from model.encoder.masking import masking_policy, n_visible
from model.objectives.config import ObjectiveConfig, preset
from stores.digest import digest
from stores.errors import InvalidInput

PRECISIONS = ("fp32", "bf16")
SCHEDULES = ("constant", "cosine")
OPTIMIZERS = ("adam", "adamw", "lamb", "lion", "sgd")
ADDED = frozenset({"max_frame_distance", "masking", "clip_gradient_norm", "init"})
"""Settings that the first checkpoints do not state; their defaults are what was done then."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Every setting that can change the result; the defaults are the paper's.

    Raises:
        InvalidInput: a number is out of its range or not finite, or a choice is unknown.
    """

    encoder: EncoderConfig
    """What is trained."""
    shards: str
    """Digest of the mel store that the shards were made from; of several stores, of their digests in order."""
    mel: Mapping[str, Any] = field(default_factory=dict)
    """How its recordings became mel: `mel_spec`, `quantizer`, `preprocessing`; empty where that is unknown."""
    samples: int = 0
    """Clips of these stores, which objectives that remember clips need to know: every stable index is below it."""
    objective: ObjectiveConfig = field(default_factory=lambda: preset("infonce"))
    """What is minimised."""
    batch: int = 4_096
    """Clips of a step, of all ranks together; each gives two views."""
    steps: int = 100_000
    """Steps of the whole run."""
    max_frame_distance: int | None = None
    """Most frames between the starts of a clip's two windows; None: they start independently."""
    masking_ratio: float = 0.9
    """Share of patches that is hidden."""
    masking: str = "uniform"
    """Which patches those are: one of `model.encoder.masking.POLICIES`."""
    projection_width: int = 128
    """Width of the linear head that the loss sees; the public code's `linear_head`, dropped after training."""
    optimizer: str = "adam"
    """Which one; see `model.training.optimizer`."""
    learning_rate: float = 3e-4
    """The optimizer's, at its highest."""
    weight_decay: float = 1e-5
    """L2 term of adam and sgd; share of the weights, times the rate, that the others take off in a step."""
    clip_gradient_norm: float | None = None
    """Largest norm of the gradient of all weights together; longer ones are scaled down to it. None: as they come."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    schedule: str = "constant"
    """What the learning rate does after warm-up: constant, or cosine to 0."""
    precision: str = "fp32"
    """Of the encoder's products: fp32, or bf16 with fp32 weights."""
    seed: int = 0
    """Of weights, order, windows and masks."""
    init: str = ""
    """Digest of the checkpoint whose weights the run began with; empty where they were drawn by the seed."""

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("steps", 1), ("projection_width", 1), ("warmup_steps", 0)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} is {getattr(self, name)}; give {least} or more")
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf):
            raise InvalidInput(
                f"learning rate {self.learning_rate}, weight decay {self.weight_decay}: the first must be positive, "
                "the second not negative, both finite"
            )
        if self.clip_gradient_norm is not None and not 0 < self.clip_gradient_norm < math.inf:
            raise InvalidInput(f"gradient norm {self.clip_gradient_norm}; give a positive, finite one, or none at all")
        masking_policy(self.masking)  # refuses a name that there is not
        for patches in self.encoder.patch_counts.values():
            n_visible(patches, self.masking_ratio)  # refuses what cannot be masked
        if self.max_frame_distance is not None and self.max_frame_distance < 0:
            raise InvalidInput(
                f"max_frame_distance is {self.max_frame_distance}; give 0 frames or more, or none at all"
            )
        if not 0 <= self.seed < 2**63:
            raise InvalidInput(f"seed is {self.seed}; give one from 0 to 2**63 - 1")
        for name, choices in (("precision", PRECISIONS), ("schedule", SCHEDULES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in choices:
                raise InvalidInput(f"{name} {getattr(self, name)!r}: use one of {choices}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Rebuild from `to_dict`.

        Raises:
            InvalidInput: unknown or missing keys, which it names.
        """
        names = {one.name for one in fields(cls)}
        if not names - ADDED <= set(values) <= names:
            raise InvalidInput(
                f"training settings differ from this version's in {sorted((names ^ set(values)) - ADDED)}"
            )
        nested = {
            "encoder": EncoderConfig.from_dict(values["encoder"]),
            "objective": ObjectiveConfig.from_dict(values["objective"]),
        }
        return cls(**{**values, **nested})

    def digest(self) -> str:
        """Fingerprint of the run's result; settings of `ADDED` count where they are not what was done before."""
        before = {one.name: one.default for one in fields(self) if one.name in ADDED}
        values = self.to_dict().items()
        return digest({key: value for key, value in values if key not in before or before[key] != value})
