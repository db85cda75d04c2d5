"""Default paths of artifacts, relative to the working directory.

stores/DATASET.zarr                  mel store          pipeline.ingest
stores/DATASET.shards/               WebDataset shards  pipeline.shard
runs/NAME/                           a training run     model.train
stores/DATASET.RUN.features.zarr     feature store      model.extract
runs/NAME/scores/DATASET.TASK.json   probe scores       model.probe
runs/NAME.sweep.json                 runs that differ in one setting    dags.sweep
reports/NAME.html                    the report         model.report

Most functions only build a path. `store_path`, `checkpoint_path`, `encoder_of_run` and `latest_finished_encoder` also
check which files exist.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from stores.errors import InvalidInput, MissingArtifact

STORES = Path("stores")
STORE_SUFFIX = ".zarr"
RUNS = Path("runs")
REPORTS = Path("reports")
ENCODER_FILE = "encoder.safetensors"
"""File of the finished encoder in the folder of a run. The run is finished when this file exists."""
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


def sweep(name: str) -> Path:
    """Return the path of the sweep file `name`."""
    return RUNS / f"{validate_name(name)}.sweep.json"


def report(name: str) -> Path:
    """Return the path of the report `name`."""
    return REPORTS / f"{validate_name(name)}.html"


def data_root(dataset: str) -> Path:
    """Return the folder of the audio of `dataset`: `$MYNA_DATA/DATASET` if the variable is set, else `data/DATASET`."""
    return Path(os.environ.get("MYNA_DATA") or "data") / dataset


def checkpoint_path(text: str) -> Path:
    """Return the checkpoint that a command line names: a file, or a run by its folder or its name under `runs/`."""
    path = Path(text)
    if len(path.parts) == 1 and not path.exists() and (RUNS / path / ENCODER_FILE).is_file():
        path = RUNS / path
    return encoder_of_run(path)


def encoder_of_run(path: Path) -> Path:
    """Return the finished encoder in the run folder `path`, or `path` itself if it is not such a folder."""
    return path / ENCODER_FILE if (path / ENCODER_FILE).is_file() else path


def latest_finished_encoder(runs: Path = RUNS) -> Path:
    """Return the encoder of the run that finished last.

    Raises:
        MissingArtifact: no run under `runs` is finished.
    """
    finished = sorted(runs.glob(f"*/{ENCODER_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    if not finished:
        raise MissingArtifact(f"no finished run under {runs}/; train one with `python -m model.train --store STORE`")
    return finished[-1]
