"""Default paths of artifacts, below the folder `$MYNA_HOME`, or below the working directory if it is not set.

stores/DATASET.zarr                  mel store          pipeline.ingest
stores/DATASET.shards/               WebDataset shards  pipeline.shard
runs/NAME/                           a training run     model.train
stores/DATASET.RUN.features.zarr     feature store      model.extract
runs/NAME/scores/DATASET.TASK.json   probe scores       model.probe
runs/NAME/layers/DATASET.TASK.json   scores of layers   model.probe --layer
runs/NAME.sweep.json                 runs that differ in one setting    dags.sweep, dags.findings
reports/NAME.html                    the report         model.report

Most functions only build a path. `store_path`, `find_checkpoint`, `encoder_of_run` and `only_finished_run` also check
which files exist.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stores.errors import InvalidInput, MissingArtifact

_HOME = Path(os.environ.get("MYNA_HOME") or "")
STORES = _HOME / "stores"
STORE_SUFFIX = ".zarr"
REMOTE = ".remote"
"""Folder in `STORES` of the links to stores in object storage."""
RUNS = _HOME / "runs"
REPORTS = _HOME / "reports"
ENCODER_FILE = "encoder.safetensors"
"""File of the finished encoder in the folder of a run. The run is finished when this file exists."""
MAX_LISTED_RUNS = 20
"""Number of runs that an error lists."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def validate_name(name: str) -> str:
    """Return `name` if it can be used in file names: letters, digits, `_` and `-`, because dots separate the parts.

    Raises:
        InvalidInput: for any other name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"name {name!r} cannot be used in file names; use letters, digits, '_' and '-'")
    return name


def mel_store(dataset: str) -> Path:
    """Return the path of the mel store of `dataset`."""
    return STORES / f"{validate_name(dataset)}{STORE_SUFFIX}"


def store_path(text: str) -> Path:
    """Return the mel store that a command line names: a path, or a name under `stores/` if no store has that path."""
    path = Path(text)
    if (path / "zarr.json").is_file() or not _NAME.fullmatch(text):
        return path
    return mel_store(text)


def shards(store: Path) -> Path:
    """Return the folder of the WebDataset shards of the mel store at `store`, which is beside the store."""
    return beside_store(store, ".shards")


def beside_store(store: Path, suffix: str) -> Path:
    """Return the path of a companion of the mel store at `store`: its name without `.zarr`, then `suffix`.

    Any other suffix of the store stays, so that `a.v1` and `a.v2` have different companions.
    """
    return store.with_name(store.name.removesuffix(STORE_SUFFIX) + suffix)


def store_of_shards(folder: Path) -> Path:
    """Return the path of the mel store that has its shards in `folder`, as far as the names tell."""
    plain = folder.with_name(folder.name.removesuffix(".shards"))
    usual = plain.with_name(f"{plain.name}{STORE_SUFFIX}")
    return plain if (plain / "zarr.json").is_file() and not usual.exists() else usual


def dataset_of(path: Path) -> str:
    """Return the name of the dataset in the mel store or the shards at `path`, as names of other artifacts contain it.

    Dots become hyphens, because dots separate the parts of those names.
    """
    return path.name.removesuffix(STORE_SUFFIX).removesuffix(".shards").replace(".", "-")


def run(name: str) -> Path:
    """Return the folder of the training run `name`."""
    return RUNS / validate_name(name)


def feature_store(dataset: str, run_name: str) -> Path:
    """Return the path of the features of `dataset` that the encoder of the run `run_name` computes."""
    return STORES / f"{validate_name(dataset)}.{validate_name(run_name)}.features.zarr"


def scores(run_name: str, dataset: str, task: str) -> Path:
    """Return the path of the probe scores of a run on one task."""
    return run(run_name) / "scores" / f"{validate_name(dataset)}.{validate_name(task)}.json"


def layer_scores(run_name: str, dataset: str, task: str) -> Path:
    """Return the path of the scores of the layers of a run's encoder on one task."""
    return run(run_name) / "layers" / f"{validate_name(dataset)}.{validate_name(task)}.json"


def sweep(name: str) -> Path:
    """Return the path of the sweep file `name`."""
    return RUNS / f"{validate_name(name)}.sweep.json"


def report(name: str) -> Path:
    """Return the path of the report `name`."""
    return REPORTS / f"{validate_name(name)}.html"


def data_root(dataset: str) -> Path:
    """Return the folder of the audio of `dataset`: `$MYNA_DATA/DATASET` if the variable is set, else `data/DATASET`."""
    return Path(os.environ.get("MYNA_DATA") or "data") / dataset


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint, and what led to it."""

    path: Path
    """Path of the file or folder."""
    reason: str
    """Meaning of the word on the command line, for the output: a path, or a run by its name or as the only one."""

    def __str__(self) -> str:
        """Return the path with the reason."""
        return f"{self.path} ({self.reason})"


def find_checkpoint(word: str | None, option: str = "--checkpoint") -> FoundCheckpoint:
    """Return the checkpoint that a command line means. All commands follow this rule, and none of them prompts.

    A word is an existing path, or else the name of a finished run. Without a word, the only finished run is meant.

    Args:
        word: the value of the option, or None if it was not stated.
        option: the option that names a checkpoint, for error messages.

    Raises:
        MissingArtifact: nothing has this path or name, or no run is finished.
        InvalidInput: no word was stated, and several runs are finished. The message lists them.
    """
    if word is None:
        run_name = only_finished_run(option)
        return FoundCheckpoint(RUNS / run_name / ENCODER_FILE, f"run {run_name}, the only finished run")
    path = Path(word)
    if path.exists():
        return FoundCheckpoint(encoder_of_run(path), "path")
    if _NAME.fullmatch(word) and (RUNS / word / ENCODER_FILE).is_file():
        return FoundCheckpoint(RUNS / word / ENCODER_FILE, f"run {word}")
    raise MissingArtifact(
        f"no checkpoint at {word}, which is neither an existing path nor the name of a finished run under {RUNS}/; "
        f"{_advice(word, option)}"
    )


def only_finished_run(option: str = "--run", runs: Path = RUNS) -> str:
    """Return the name of the finished run under `runs`, if there is exactly one.

    Raises:
        MissingArtifact: no run is finished.
        InvalidInput: several runs are finished. The message lists them.
    """
    names = sorted(path.parent.name for path in runs.glob(f"*/{ENCODER_FILE}"))
    if not names:
        raise MissingArtifact(
            f"no finished run under {runs}/; train one with `python -m model.train --store STORE`, or state {option}"
        )
    if len(names) > 1:
        raise InvalidInput(f"{len(names)} runs are finished, so {option} must name one of them: {_listed(names)}")
    return names[0]


def encoder_of_run(path: Path) -> Path:
    """Return the finished encoder in the run folder `path`, or `path` itself if it is not such a folder."""
    return path / ENCODER_FILE if (path / ENCODER_FILE).is_file() else path


def _advice(word: str, option: str) -> str:
    """Return what to do about a word that means no checkpoint."""
    unfinished = sorted((RUNS / word).glob("checkpoint-*.safetensors")) if _NAME.fullmatch(word) else []
    if unfinished:
        return f"the run {word} is not finished, and {option} {unfinished[-1]} is its newest checkpoint"
    names = sorted(path.parent.name for path in RUNS.glob(f"*/{ENCODER_FILE}"))
    if names:
        return f"give {option} a path, or one of the runs {_listed(names)}"
    return f"give {option} a path, or train a run with `python -m model.train --store STORE`"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED_RUNS} more" if len(names) > MAX_LISTED_RUNS else ""
    return ", ".join(names[:MAX_LISTED_RUNS]) + more
