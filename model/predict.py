"""`python -m model.predict DATASET --probe P`: a probe that was kept says what it hears in a catalogue."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.inference import external_embeddings
from model.inference.representations import BASELINES
from model.probes.probe import Probe
from model.probes.results.predictions import Output, predictions
from stores import locations
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact, exit_status
from stores.features import FeatureStore

_SETTINGS = ("encoder", "hop_frames")  # of what made the features: equal, or the probe would read another language


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.predict", description="Genre, key, tags or emotion of clips, by a probe that was kept."
    )
    parser.add_argument("source", help="name of a dataset with features, or a .parquet, .npz or .zarr of embeddings")
    parser.add_argument("--probe", type=Path, required=True, help="file that model.probe wrote below runs/NAME/probes/")
    parser.add_argument("--out", type=Path, help=".csv or .parquet (default: SOURCE.TASK.csv here)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _predict(options))


def _predict(options: argparse.Namespace) -> None:
    head = Probe.read(options.probe)
    ids, embeddings, songs = _embeddings(options.source, head)
    stem = Path(options.source).stem.removesuffix(".features")
    output = Output(options.out or Path(f"{stem}.{head.facts['task']}.csv"))
    table = predictions(head, ids, embeddings, songs)
    output.write(table)
    print(f"{output.path}: {head.facts['task']} of {table.num_rows} clips")


def _embeddings(source: str, head: Probe) -> tuple[Sequence[str], NDArray[np.float32], Sequence[str]]:
    """Ids, embeddings and recordings of the clips."""
    path = Path(source)
    if path.is_dir() and not (path / "clips.parquet").is_file():
        raise InvalidInput(
            f"{source} is a folder; a probe reads embeddings: make them with `python -m dags.embed {source} "
            f"--checkpoint {_checkpoint(head)} --out X.parquet` and predict from X.parquet"
        )
    if path.suffix in (".parquet", ".npz"):
        found = external_embeddings.read(path)
        _require_same_encoder(found.provenance, head, path)
        return found.ids, found.embeddings, found.ids
    if path.suffix != ".zarr":
        path = _features_of(source, head)
    store = FeatureStore.read(path)
    _require_same_encoder(store.provenance, head, path)
    recordings = [f"{row.source}\0{row.member}" for row in store.rows]
    return [row.id for row in store.rows], store.embeddings, recordings


def _features_of(dataset: str, head: Probe) -> Path:
    name = str(head.facts["features"].get("representation", ""))
    if not name:
        raise InvalidInput("the probe reads embeddings of another model; give a .parquet or .npz with that model's")
    path = locations.feature_store(dataset, name)
    if not path.exists() and name.startswith(BASELINES):
        raise MissingArtifact(
            f"the probe reads {name}, a baseline that only `model.probe {dataset}` makes; predict with the probe of an "
            "encoder, which has features of any catalogue"
        )
    if not path.exists():
        raise MissingArtifact(
            f"no features at {path}; make them with `python -m model.extract {dataset} --checkpoint "
            f"{_checkpoint(head)}`, after `python -m pipeline.ingest` if {dataset!r} has no mel store yet"
        )
    return path


def _checkpoint(head: Probe) -> str:
    name = head.facts["features"].get("representation", "NAME")
    return f"runs/{name}/encoder.safetensors"


def _require_same_encoder(provenance: object, head: Probe, path: Path) -> None:
    """Refuse embeddings that say they are of another encoder; those that say nothing are taken as they are."""
    known = head.facts["features"]
    stated = provenance if isinstance(provenance, dict) else dict(provenance)  # type: ignore[call-overload]
    differing = [key for key in _SETTINGS if key in known and key in stated and known[key] != stated[key]]
    if differing:
        raise DigestMismatch(f"{path} was made with another {' and '.join(differing)} than the probe was trained on")


if __name__ == "__main__":
    sys.exit(main())
