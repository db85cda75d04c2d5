"""Configurations of a probe, the grids that are searched, and the settings of probe, predict and compare.

The full grid is that of JukeMIR (Castellon, Donahue and Liang 2021) with 216 configurations. The quick grid is a subset
of it for everyday use. Scores of the quick grid are marked, because they do not follow the protocol of the paper.
Nothing here imports torch, so that `--help` is fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from tyro.conf import Positional, UseAppendAction

from model.inference.layers import parse_layer
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.digest import digest
from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

GridName = Literal["full", "quick"]
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


@dataclass(frozen=True, kw_only=True)
class FewShotSettings(CheckedSettings):
    """Few-shot evaluation instead of the grid search. Its scores are printed and not stored."""

    train_groups: Annotated[Annotated[int, Ge(1)] | None, shown("N", "all groups, with the grid search")] = None
    """Number of training groups (pieces or songs) that have labels. A logistic regression is trained on them."""
    draws: Annotated[int, Ge(1)] = 5
    """Number of random choices of these groups, over which the accuracy is averaged."""


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(CommandSettings):
    """Score the features of an encoder and of baselines by training probes on them.

    The features of the encoder come from model.extract. The scores are printed, and written to
    runs/NAME/scores/DATASET.TASK.json. The winning probes are written to runs/NAME/probes/.
    """

    dataset: Annotated[Positional[str], shown("DATASET")]
    """Mel store with labels and splits: its name under stores/, for example demo or gtzan, or its path."""
    task: Annotated[UseAppendAction[tuple[str, ...]], shown("TASK", "every task that the labels make")] = ()
    """Task to score, for example key or genre. It can be repeated."""
    features: Annotated[UseAppendAction[tuple[Path, ...]], shown("FILE", "none")] = ()
    """Embeddings of another model, which are scored as well: a feature store, .npz or .parquet. It can be repeated."""
    grid: GridName = "quick"
    """Probes to try: the 216 of the paper's protocol, or 6 of them."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the encoder of the only finished run")] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    store: Annotated[str | None, shown("STORE", "DATASET, or else the mel store that its features record")] = None
    """Mel store with labels, splits and groups, as a path or as a name under stores/, for example if it was moved."""
    layer: Annotated[str | None, shown("{N,N-M,mean,all}", "the embedding after the last block")] = None
    """Layer to score instead, from features of model.extract --layer all: a block, the mean over a range of blocks or
    over all, or all for every block and the mean. The scores are written to runs/NAME/layers/."""
    few_shot: FewShotSettings = field(default_factory=FewShotSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if parse_layer(self.layer) is not None and (self.features or self.few_shot.train_groups):
            raise InvalidInput("--layer scores layers of the encoder alone; leave out --features and --train-groups")


@dataclass(frozen=True, kw_only=True)
class PredictSettings(CommandSettings):
    """Predict the genre, key, tags or emotion of clips with a probe that model.probe has written."""

    source: Annotated[Positional[str], shown("SOURCE")]
    """Name of a dataset with features, or a file of embeddings: .parquet, .npz, or a feature store .zarr."""
    probe: Annotated[Path, shown("FILE")]
    """File of the probe, runs/NAME/probes/DATASET.TASK.REPRESENTATION.safetensors."""
    out: Annotated[Path | None, shown("FILE", "SOURCE.TASK.csv in the working directory")] = None
    """File to write, .csv or .parquet, with one row for each clip."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings(CommandSettings):
    """Print the scores of a run on its tasks and their average, with a row for each representation.

    The metrics of one task are averaged first, as in the paper. A representation that lacks a task has no average.
    """

    datasets: Annotated[Positional[tuple[str, ...]], shown("DATASET", "all that the run has scores of")] = ()
    """Datasets whose tasks are printed and averaged."""
    run: Annotated[str | None, shown("NAME", "the only finished run")] = None
    """Name of the run."""
