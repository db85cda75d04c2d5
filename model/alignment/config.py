"""Settings of `python -m model.align`. Nothing here imports torch, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from model.objectives.bimodal_config import BimodalConfig, bimodal_preset
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

BimodalName = Literal[
    "infonce", "mbcl", "sogclr", "isogclr", "fastclip-v0", "fastclip-v1", "fastclip-v2", "fastclip-v3"
]
TextEncoderName = Literal["minilm", "hashed-words"]


@dataclass(frozen=True)
class AdapterConfig(JsonSettings):
    """Everything that determines an alignment, besides the embeddings of the pairs."""

    objective: BimodalConfig
    """Objective and its numbers."""
    width: int
    """Width of the common space."""
    hidden: int
    """Units of the hidden layer of each adapter, or 0 for linear adapters."""
    batch: int
    """Pairs in a step, of all ranks together."""
    epochs: int
    """Number of passes over the training pairs."""
    learning_rate: float
    """Highest learning rate of AdamW."""
    weight_decay: float
    """Weight decay of AdamW."""
    seed: int
    """Seed of the initial weights and of the order of the pairs."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveNumbers(CheckedSettings):
    """Numbers of the objective. A number that the objective does not use is an error."""

    temperature: Annotated[Annotated[float, Gt(0)] | None, shown("T", "that of the objective")] = None
    """Temperature, or its initial value if the objective learns it."""
    temperature_learning_rate: Annotated[Annotated[float, Gt(0)] | None, shown("RATE", "that of the objective")] = None
    """Learning rate of learned temperatures."""
    gamma: Annotated[Annotated[float, Gt(0), Le(1)] | None, shown("GAMMA", "that of the objective")] = None
    """Weight of the current batch in the moving averages, at its lowest."""
    gamma_decay_epochs: Annotated[Annotated[int, Ge(1)] | None, shown("N", "half of --epochs")] = None
    """Epochs in which gamma falls from 1 to its lowest value."""
    rho: Annotated[Annotated[float, Ge(0)] | None, shown("RHO", "that of the objective")] = None
    """Distance in nats of the weights of the negatives from equal weights that learned temperatures aim at."""

    def apply(self, config: BimodalConfig, epochs: int) -> BimodalConfig:
        """Return the objective with the stated numbers.

        Raises:
            InvalidInput: the objective does not use a number that is stated.
        """
        stated = {name: value for name, value in vars(self).items() if value is not None}
        if unused := [name for name in stated if name not in config.options]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
            raise InvalidInput(f"{flags} is not used by objective {config.name} (it uses {', '.join(config.options)})")
        decay = {"gamma_decay_epochs": max(1, epochs // 2)} if "gamma_decay_epochs" in config.options else {}
        changed: dict[str, Any] = {**decay, **stated}
        return replace(config, **changed)


@dataclass(frozen=True, kw_only=True)
class AlignSettings(CommandSettings):
    """Align audio with text: train two adapters into one space on pairs, and score the retrieval of held-out pairs.

    The pairs of the split train are trained on, and those of the split test are scored. The alignment is written to
    runs/NAME/alignment.safetensors, and model.search finds audio by text with it.
    """

    audio: Annotated[Path, shown("FEATURES")]
    """Feature store with one embedding for each clip, from model.extract."""
    text: Annotated[Path, shown("FILE")]
    """Texts of the clips by their ids: embeddings in a .parquet or .npz file, or a .csv table with the columns id and
    caption, which --text-encoder embeds."""
    text_encoder: Annotated[TextEncoderName, shown("{minilm,hashed-words}")] = "minilm"
    """Encoder of captions: all-MiniLM-L6-v2, which needs the extra `text`, or a hashed bag of words, which needs
    nothing."""
    objective: BimodalName = "fastclip-v3"
    """Contrastive objective."""
    hidden: Annotated[int, Ge(0), Le(65_536)] = 0
    """Units of the hidden layer of each adapter; 0 for linear adapters."""
    width: Annotated[int, Ge(1), Le(65_536)] = 128
    """Width of the common space."""
    batch: Annotated[int, Ge(2)] = 256
    """Pairs in a step, of all ranks together."""
    epochs: Annotated[int, Ge(1)] = 40
    """Passes over the training pairs."""
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    """Highest learning rate of AdamW; it falls to 0 along a cosine."""
    weight_decay: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Weight decay of AdamW."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the initial weights and of the order of the pairs."""
    name: Annotated[str, shown("NAME", "DATASET-text-OBJECTIVE")] = ""
    """Name of the alignment under runs/. Other settings or embeddings need another name."""
    store: Annotated[str | None, shown("STORE", "the mel store that the features record")] = None
    """Mel store with the splits and groups of the clips."""
    numbers: ObjectiveNumbers = field(default_factory=ObjectiveNumbers)
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.adapters()

    def adapters(self) -> AdapterConfig:
        """Return what determines the alignment, besides the embeddings.

        Raises:
            InvalidInput: a number of the objective is stated that it does not use.
        """
        return AdapterConfig(
            objective=self.numbers.apply(bimodal_preset(self.objective), self.epochs),
            width=self.width,
            hidden=self.hidden,
            batch=self.batch,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )
