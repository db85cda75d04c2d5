"""Settings of a training run: those that can change its result, and those that cannot. None of it imports torch.

`TrainSettings` holds the settings of a command line. `TrainConfig` holds those of a run, with every value resolved. It
is stored in the run's config.json and in its checkpoints, and its digest identifies the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Ge, Gt, Lt
from tyro.conf import UseAppendAction

from model.encoder.config import PRESETS, EncoderConfig, InputScale
from model.encoder.masking_config import MaskingName, n_visible, normalize_masking_name, stored_masking_name
from model.objectives.config import PRESETS as OBJECTIVES
from model.objectives.config import ObjectiveConfig, preset
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.digest import digest
from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

Optimizer = Literal["adam", "adamw", "lamb", "lion", "sgd"]
Schedule = Literal["constant", "cosine"]
Precision = Literal["fp32", "bf16"]
DataLocation = Literal["gpu", "ram", "none"]
ADDED = frozenset(
    {"max_frame_distance", "masking", "clip_gradient_norm", "init", "freeze_encoder_steps", "learning_rate_scale"}
)
"""Settings that the first checkpoints do not have. Their defaults are what was done before they were added."""
OBJECTIVE_NUMBERS = ("temperature", "gamma", "gamma_decay_epochs", "rho", "temperature_learning_rate")
"""Fields of `ObjectiveConfig` that a command line can state."""


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings(CheckedSettings):
    """Optimization. Each of these settings can change the result, and a run continues only with the same values."""

    batch: Annotated[int, Ge(2)] = 4_096
    """Clips in a step, over all ranks. Each clip gives two windows."""
    steps: Annotated[int, Ge(1)] = 100_000
    """Steps of the whole run."""
    max_frame_distance: Annotated[Annotated[int, Ge(0)] | None, shown("FRAMES", "any distance")] = None
    """Largest distance between the starts of a clip's two windows, in frames."""
    masking_ratio: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Share of the patches that is masked."""
    projection_width: Annotated[int, Ge(1)] = 128
    """Output size of the linear projection head, which is dropped after training."""
    optimizer: Optimizer = "adam"
    """Optimizer."""
    learning_rate: Annotated[float, Gt(0)] = 3e-4
    """Highest learning rate of the optimizer."""
    weight_decay: Annotated[float, Ge(0)] = 1e-5
    """L2 penalty for adam and sgd, decoupled weight decay for the other optimizers."""
    clip_gradient_norm: Annotated[Annotated[float, Gt(0)] | None, shown("NORM", "no clipping")] = None
    """Largest norm of the gradient of all weights together. Longer gradients are scaled down to it."""
    warmup_steps: Annotated[int, Ge(0)] = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Schedule = "constant"
    """Learning rate after the warm-up: constant, or a cosine to 0."""
    freeze_encoder_steps: Annotated[int, Ge(0)] = 0
    """Steps at the start of a run with --init in which only the head is trained, before all weights are."""
    learning_rate_scale: Annotated[str, shown("encoder=FACTOR")] = "encoder=1"
    """Factor on the learning rate of the encoder, for example encoder=0.1. The head keeps the whole rate."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Seed of weights, order of clips, windows, and masks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "learning_rate_scale", f"encoder={self.encoder_rate_factor:g}")

    @property
    def encoder_rate_factor(self) -> float:
        """Factor on the learning rate of the encoder, more than 0 and at most 100.

        Raises:
            InvalidInput: the text states no such factor.
        """
        name, _, text = self.learning_rate_scale.partition("=")
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if name != "encoder" or not 0 < factor <= 100:
            raise InvalidInput(
                "--learning-rate-scale must be encoder=FACTOR with a factor of more than 0 and at most 100, for "
                f"example encoder=0.1 (got {self.learning_rate_scale[:40]!r})"
            )
        return factor


@dataclass(frozen=True, kw_only=True)
class TrainConfig(OptimizationSettings, JsonSettings):
    """Every setting that can change the result of a run, resolved. The defaults are those of the paper.

    Raises:
        InvalidInput: a number is out of its range or not finite, or a choice is unknown.
    """

    _MAY_BE_MISSING: ClassVar[frozenset[str]] = ADDED

    encoder: EncoderConfig
    """Encoder that is trained."""
    shards: str
    """Digest of the mel store that the shards were made from. For several stores, a digest of theirs in order."""
    mel: Mapping[str, Any] = field(default_factory=dict)
    """Mel settings of the recordings: `mel_spec`, `quantizer`, `preprocessing`. Empty if they are unknown."""
    samples: int = 0
    """Number of clips in the stores. Every stable index is below it, which objectives with a memory of clips need."""
    objective: ObjectiveConfig = field(default_factory=lambda: preset("infonce"))
    """Objective that is minimized."""
    masking: str = "uniform"
    """Stored name of the masking policy: one of `model.encoder.masking_config.MaskingName` as files spell it."""
    precision: str = "fp32"
    """Precision of the matrix products: fp32, or bf16 with fp32 weights."""
    init: str = ""
    """Digest of the checkpoint that the weights were initialized from. Empty for a random initialization."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "masking", stored_masking_name(self.masking))
        for patches in self.encoder.patch_counts.values():
            n_visible(patches, self.masking_ratio)  # rejects a ratio that leaves no patch
        for name, choices in (("precision", Precision), ("schedule", Schedule), ("optimizer", Optimizer)):
            if getattr(self, name) not in get_args(choices):
                raise InvalidInput(
                    f"--{name} must be one of {', '.join(get_args(choices))} (got {getattr(self, name)!r})"
                )

    def digest(self) -> str:
        """Return the digest of the settings. Those of `ADDED` count only if they differ from their defaults."""
        added = {one.name: one.default for one in fields(self) if one.name in ADDED}
        values = self.to_dict().items()
        return digest({key: value for key, value in values if key not in added or added[key] != value})


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(CheckedSettings):
    """Encoder. Each of these settings can change the result."""

    preset: Annotated[str, shown("|".join(sorted(PRESETS)))] = "myna-hybrid"
    """Encoder preset."""
    input_scale: Annotated[InputScale | None, shown("power|log1p|log1p1000|log", "that of the preset")] = None
    """Scale of the mel power that the encoder reads."""
    masking: Annotated[str, shown("|".join(get_args(MaskingName)))] = "uniform"
    """Masking policy: which patches are masked."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the matrix products. auto is bf16 where this machine is faster in it, else fp32."""
    window_frames: Annotated[Annotated[int, Ge(1)] | None, shown("N", "that of the preset")] = None
    """Length of a window in frames, a multiple of the frames of a patch: 16, or 2 for vertical patches alone."""
    init: Annotated[str | None, shown("CHECKPOINT", "random initialization")] = None
    """Checkpoint or run to initialize the weights from."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(CheckedSettings):
    """Objective. Each of these settings can change the result. Numbers that are not stated are those of the preset."""

    objective: Annotated[str, shown("|".join(sorted(OBJECTIVES)))] = "infonce"
    """Objective preset."""
    temperature: Annotated[Annotated[float, Gt(0)] | None, shown("T", "that of the preset")] = None
    """Temperature. If it is learned, its initial value."""
    gamma: Annotated[float | None, shown("GAMMA", "that of the preset")] = None
    """Inner learning rate at its lowest, more than 0 and at most 1."""
    gamma_decay_epochs: Annotated[int | None, shown("EPOCHS", "half of the run's epochs")] = None
    """Epochs of the cosine schedule of gamma."""
    rho: Annotated[float | None, shown("NATS", "that of the preset")] = None
    """Target divergence of learned temperatures, in nats."""
    temperature_learning_rate: Annotated[float | None, shown("RATE", "that of the preset")] = None
    """Learning rate of the logarithm of learned temperatures."""

    def stated_numbers(self) -> dict[str, Any]:
        """Return the numbers that the command line states, by field of `ObjectiveConfig`."""
        values = {name: getattr(self, name) for name in OBJECTIVE_NUMBERS}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class LoggingConfig(CheckedSettings):
    """Logging and checkpointing. None of these settings changes the result, and a run may continue with others."""

    log_every: Annotated[int, Ge(1)] = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: Annotated[int, Ge(1)] = 200
    """Steps between two checkpoints."""
    keep: Annotated[int, Ge(1)] = 2
    """Number of checkpoints to keep. Older ones are deleted."""
    check_every: Annotated[int, Ge(1)] = 500
    """Steps between two k-NN validations."""
    on_sigusr1: Literal["exit", "save"] = "exit"
    """Effect of SIGUSR1, which schedulers can send: exit saves a checkpoint and stops, save saves one and continues."""


@dataclass(frozen=True, kw_only=True)
class LoadingSettings(CheckedSettings):
    """Data loading. None of these settings changes the result."""

    resident: DataLocation = "ram"
    """Data location: all clips on the GPU, all clips in RAM, or none, which reads them from disk."""
    workers: Annotated[int, Ge(0)] = 2
    """Threads that prepare batches in advance."""


@dataclass(frozen=True, kw_only=True)
class RankSettings(CheckedSettings):
    """Several processes under torchrun. None of these settings changes the result."""

    rank_timeout_seconds: Annotated[float, Gt(0)] = 600.0
    """Longest time that a rank waits for the others in a step, in seconds. A run whose ranks have died, stand still or
    cannot be reached ends after this time. It must be longer than a k-NN validation and a checkpoint take."""


@dataclass(frozen=True, kw_only=True)
class ValidationSettings(CheckedSettings):
    """k-NN validation during training. None of these settings changes the result."""

    check_store: Annotated[str | None, shown("STORE", "no validation")] = None
    """Labeled mel store, as a path or as a name under stores/."""
    check_task: Annotated[str | None, shown("TASK", "no validation")] = None
    """Label that a clip should share with its nearest neighbors, for example genre."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings(CommandSettings):
    """Train an encoder on a mel store. The run is written to runs/NAME/, and an interrupted run is continued.

    --config also accepts the config.json of a run: its settings are used, and its data and initialization are checked.
    """

    store: Annotated[UseAppendAction[tuple[str, ...]], shown("STORE")]
    """Mel store to train on, as a path or as a name under stores/. May be repeated. Missing shards are made first."""
    name: Annotated[str | None, shown("NAME", "STORE-PRESET")] = None
    """Name of the run."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    loading: LoadingSettings = field(default_factory=LoadingSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    ranks: RankSettings = field(default_factory=RankSettings)

    @classmethod
    def values_of_file(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings in a JSON file: those of a run if the file is a run's config.json, else all values."""
        if not is_run_config(values):
            return values
        config = TrainConfig.from_dict({key: value for key, value in values.items() if key != "store"})
        return stated_settings(config)


RESULT_GROUPS = (EncoderSettings, OptimizationSettings, ObjectiveSettings)
"""The groups of settings that can change a result."""


def result_flags() -> frozenset[str]:
    """Return the flags of `model.train` that can change a result, without their dashes, e.g. `masking-ratio`."""
    return frozenset(one.name.replace("_", "-") for group in RESULT_GROUPS for one in fields(group))


def is_run_config(values: Mapping[str, Any]) -> bool:
    """Return whether the values of a JSON file are the config.json of a run."""
    return isinstance(values.get("encoder"), Mapping) and "shards" in values


def stated_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of `model.train` that give `config`, by name. Those with their default value are left out."""
    defaults = {one.name: one.default for one in fields(OptimizationSettings)}
    values = {name: getattr(config, name) for name in defaults if getattr(config, name) != defaults[name]}
    masking = normalize_masking_name(config.masking)
    values |= {} if masking == "uniform" else {"masking": masking}
    return {**_encoder_settings(config.encoder), **values, **_objective_settings(config.objective)} | {
        "precision": config.precision
    }


def _encoder_settings(encoder: EncoderConfig) -> dict[str, Any]:
    name = encoder.name if encoder.name in PRESETS else encoder.name.removesuffix(f"-{encoder.input_scale}")
    values: dict[str, Any] = {"preset": name}
    if name != encoder.name:
        values["input_scale"] = encoder.input_scale
    if name in PRESETS and encoder.window_frames != PRESETS[name].window_frames:
        values["window_frames"] = encoder.window_frames
    return values


def _objective_settings(objective: ObjectiveConfig) -> dict[str, Any]:
    known = OBJECTIVES.get(objective.name)
    numbers = {name: getattr(objective, name) for name in OBJECTIVE_NUMBERS}
    changed = {n: value for n, value in numbers.items() if known is None or value != getattr(known, n)}
    return {"objective": objective.name, **changed}
