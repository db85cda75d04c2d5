"""Configurations of a probe, the grids that are searched, and the settings of probe, predict and compare.

The full grid is that of JukeMIR (Castellon, Donahue and Liang 2021) with 216 configurations. The quick grid is a subset
of it for everyday use. Scores of the quick grid are marked, because they do not follow the protocol of the paper.
Nothing here imports torch, so that `--help` is fast.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from tyro.conf import Positional, UseAppendAction

from model.inference.layers import parse_layer
from pipeline.cluster.config import OptionalClusterSettings
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import JsonSettings, read_json

GridName = Literal["full", "quick"]
EVALUATE_EVERY_STEPS = 8
"""Steps between two evaluations on the validation clips."""
HIDDEN_UNITS = 512
"""Units of the hidden layer of the probes that have one."""
MAX_HIDDEN_LAYERS, MAX_HIDDEN_UNITS = 8, 1 << 16
MAX_GRID_BYTES, MAX_GRID_PROBES = 1 << 20, 10_000
_CHOICES = ("standardised", "hidden", "batch", "learning_rate", "dropout", "l2")
_DROPOUT_LEVELS = 256  # dropout compares random bytes with a threshold


@dataclass(frozen=True)
class ProbeConfig(JsonSettings):
    """Settings of one probe. Together with the clips of the task they determine its result."""

    standardised: bool
    """True to subtract the mean of each feature and divide by its deviation, both computed on the training clips."""
    hidden: int | tuple[int, ...]
    """Units of the hidden layer (ReLU), or of each of several, or 0 for a linear probe."""
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
        if self.batch < 1 or self.learning_rate <= 0 or self.l2 < 0:
            raise InvalidInput(
                "batch and learning_rate must be positive, and l2 must be at least 0 "
                f"(got batch {self.batch}, learning_rate {self.learning_rate}, l2 {self.l2})"
            )
        widths = self.hidden if isinstance(self.hidden, tuple) else (self.hidden or 1,)
        if len(widths) > MAX_HIDDEN_LAYERS or not all(1 <= width <= MAX_HIDDEN_UNITS for width in widths):
            raise InvalidInput(
                f"a head has at most {MAX_HIDDEN_LAYERS} hidden layers of 1 to {MAX_HIDDEN_UNITS} units "
                f"(got {self.hidden})"
            )
        if not 0 <= self.dropout < 1 or self.dropout * _DROPOUT_LEVELS % 1:
            raise InvalidInput(
                f"dropout must be a multiple of 1/{_DROPOUT_LEVELS}, at least 0 and less than 1 (got {self.dropout})"
            )

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each hidden layer. It is empty for a linear probe."""
        return self.hidden if isinstance(self.hidden, tuple) else (self.hidden,) * bool(self.hidden)

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
    """Random label subsets of each size in the label efficiency. 0 leaves it out, because each trains a probe again."""
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


def head_grid(heads: Sequence[tuple[int, ...]], dropouts: Sequence[float]) -> Grid:
    """Return the grid of heads of these hidden widths, each with each dropout rate.

    The other settings are those with which wide heads on these embeddings are trained: standardized features, batches
    of 256 and Adam at 3e-4 without a penalty, because dropout is the penalty.
    """
    levels = [round(dropout * _DROPOUT_LEVELS) / _DROPOUT_LEVELS for dropout in dropouts]
    configs = _configs(
        standardised=(True,), hidden=tuple(heads), batch=(256,), learning_rate=(3e-4,), dropout=tuple(levels), l2=(0.0,)
    )
    name = "+".join("-".join(map(str, widths)) for widths in heads)
    return Grid(f"head {name}", configs, patience=16, seeds=2, subsets_per_share=0)


def read_grid(path: Path) -> Grid:
    """Return the grid in a JSON file: lists of values by the fields of `ProbeConfig`, whose combinations are tried.

    A field that is missing has the values of the quick grid. `patience` and `seeds` may be numbers.

    Raises:
        MissingArtifact: there is no such file.
        InvalidInput: the file is not such an object, or a combination is not accepted.
    """
    if not path.is_file():
        raise MissingArtifact(f"no grid at {path}; --grid takes full, quick or a JSON file with lists of settings")
    content = _GridFile.from_dict(_read_object(path), str(path))
    choices = {name: tuple(getattr(content, name)) for name in _CHOICES}
    combinations = math.prod(len(values) for values in choices.values())
    if not 1 <= combinations <= MAX_GRID_PROBES:
        raise InvalidInput(f"{path} makes {combinations} probes; a grid has 1 to {MAX_GRID_PROBES}")
    return Grid(f"file {path.name}", _configs(**choices), content.patience, content.seeds, subsets_per_share=1)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, MAX_GRID_BYTES)
    except CorruptArtifact as error:
        raise InvalidInput(f"{error}; --grid needs a JSON object with lists of settings") from error


@dataclass(frozen=True)
class _GridFile(JsonSettings):
    """The content of a file for --grid."""

    _MAY_BE_MISSING = frozenset({*_CHOICES, "patience", "seeds"})

    standardised: tuple[bool, ...] = (True,)
    hidden: tuple[int | tuple[int, ...], ...] = (0, HIDDEN_UNITS)
    batch: tuple[int, ...] = (64,)
    learning_rate: tuple[float, ...] = (1e-3,)
    dropout: tuple[float, ...] = (0.25, 0.5, 0.75)
    l2: tuple[float, ...] = (1e-3,)
    patience: Annotated[int, Ge(1)] = QUICK.patience
    seeds: Annotated[int, Ge(1)] = QUICK.seeds


@dataclass(frozen=True, kw_only=True)
class HeadSettings(CheckedSettings):
    """Wider and deeper heads instead of the grid."""

    head: Annotated[UseAppendAction[tuple[str, ...]], shown("WIDTHS", "none")] = ()
    """Hidden layers of a head, for example 2048 or 4096,4096, which replaces the grid. It can be repeated."""
    dropout: Annotated[UseAppendAction[tuple[float, ...]], shown("RATE", "0.75")] = ()
    """Dropout rate of the heads, rounded to 1/256. It can be repeated, and validation chooses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dropout and not self.head:
            raise InvalidInput("--dropout is the dropout of --head; a file for --grid has its own list")

    def grid(self) -> Grid | None:
        """Return the grid of the heads, or None if none was asked for.

        Raises:
            InvalidInput: widths are not numbers from 1 to 65,536, separated by commas.
        """
        heads = [parse_widths(word) for word in self.head]
        return head_grid(heads, self.dropout or (0.75,)) if heads else None


def parse_widths(word: str) -> tuple[int, ...]:
    """Return the units of the hidden layers that a word such as `4096,4096` means.

    Raises:
        InvalidInput: it is no such word.
    """
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", word):
        raise InvalidInput(f"--head takes widths such as 2048 or 4096,4096 (got {word!r})")
    return tuple(int(width) for width in word.split(","))


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
    grid: Annotated[str, shown("{full,quick,FILE}")] = "quick"
    """Probes to try: the 216 of the paper's protocol, 6 of them, or the combinations in a JSON file."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    store: Annotated[str | None, shown("STORE", "DATASET, or else the mel store that its features record")] = None
    """Mel store with labels, splits and groups, as a path or as a name under stores/, for example if it was moved."""
    layer: Annotated[str | None, shown("{N,N-M,mean,mix,all}", "the embedding after the last block")] = None
    """Layer to score instead, from features of model.extract --layer all: a block, the mean over a range of blocks or
    over all, mix for a mixture of all that is learned, or all for every block and the mean. The scores are written to
    runs/NAME/layers/."""
    heads: HeadSettings = field(default_factory=HeadSettings)
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    few_shot: FewShotSettings = field(default_factory=FewShotSettings)
    cluster: OptionalClusterSettings = field(default_factory=OptionalClusterSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads.head and self.grid != "quick":
            raise InvalidInput("--head replaces the grid; leave out --grid")
        if parse_layer(self.layer, accepts_mix=True) is not None and (self.features or self.few_shot.train_groups):
            raise InvalidInput("--layer scores layers of the encoder alone; leave out --features and --train-groups")

    def search_grid(self) -> Grid:
        """Return the probes that are searched.

        Raises:
            MissingArtifact, InvalidInput: --grid names no file, or the file or the heads cannot be used.
        """
        return self.heads.grid() or GRIDS.get(self.grid) or read_grid(Path(self.grid))


@dataclass(frozen=True, kw_only=True)
class PredictSettings(CommandSettings):
    """Predict the genre, key, tags or emotion of clips with a probe that model.probe has written."""

    source: Annotated[Positional[str], shown("SOURCE")]
    """Name of a dataset with features, or a file of embeddings: .parquet, .npz, or a feature store .zarr."""
    probe: Annotated[Path, shown("FILE")]
    """File of the probe, runs/NAME/probes/DATASET.TASK.REPRESENTATION.safetensors, or a published key head: the state
    dict of linear layers with 24 outputs, .pth."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    out: Annotated[Path | None, shown("FILE", "SOURCE.TASK.csv in the working directory")] = None
    """File to write, .csv or .parquet, with one row for each clip."""
    average_transpositions: bool = False
    """Average over each recording and its transposed copies, each moved back to the key of the recording. They come
    from pipeline.ingest --transpose 12 --transpose-all."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings(CommandSettings):
    """Print the scores of a run on its tasks and their average, or compare runs.

    Datasets: one row for each representation. The metrics of one task are averaged first, as in the paper, and a
    representation that lacks a task has no average. Two or more runs: the settings that differ, and scores with paired
    intervals, also as a page with the curves of their training.
    """

    datasets: Annotated[Positional[tuple[str, ...]], shown("DATASET|RUN", "all that the run has scores of")] = ()
    """Datasets whose tasks are printed and averaged, or names of runs to compare with the first of them."""
    run: Annotated[str | None, shown("NAME", "the only finished run")] = None
    """Name of the run, if datasets are stated."""
    name: Annotated[str | None, shown("NAME", "the names of the runs, joined by hyphens")] = None
    """Name of the page that compares runs, which is written to reports/NAME.html."""
    json: bool = False
    """Print one JSON object instead of a table."""
