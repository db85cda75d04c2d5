"""The workflow of `python -m dags.train_key`: recordings and transposed copies become a probe of keys, and its scores.

    stores/giantsteps_mtg_12.zarr     GiantSteps-MTG, with eleven transposed copies of each recording
    stores/giantsteps_key_12.zarr     GiantSteps, with eleven transposed copies of each recording
    stores/demo_12.zarr               or the demo corpus, one clip of each piece, with eleven copies
    runs/NAME/probes/*.recipe.safetensors     the probe of the whole recipe, for dags.key and model.predict

Every step continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import model.extract
import pipeline.ingest
from dags.config import TrainKeySettings
from dags.workflow import Step, print_graph, run
from model.encoder import hub_models
from model.encoder.device import fastest_device
from model.inference import checkpoints, representations
from model.probes import key_recipe
from model.probes.config import parse_widths
from model.probes.key_recipe import RecipeStep
from model.probes.results.winning_probe import probe_path, write_winning_probe
from model.probes.training.grid_search import GridSearch
from stores import feature_labels, locations
from stores.commit import write_json
from stores.features import FeatureStore
from stores.json_output import print_json
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec

TRANSPOSITIONS = "12"
RECIPE = "recipe"
_DATASETS = {"giantsteps": ("giantsteps_mtg", "giantsteps_key"), "demo": ("demo", "demo")}


@dataclass(frozen=True)
class _Paths:
    """Paths of the files of one dataset."""

    store: Path
    """Mel store."""
    features: Path
    """Feature store."""

    @classmethod
    def of(cls, dataset: str, run_name: str) -> _Paths:
        """Return the paths of a dataset with its transposed copies, and of its features by the encoder of a run."""
        name = f"{dataset}_{TRANSPOSITIONS}"
        return cls(locations.mel_store(name), locations.feature_store(name, run_name))


def train_key(settings: TrainKeySettings) -> None:
    """Run the workflow, and print and write the scores of every step of the recipe; or print its graph.

    Raises:
        StepFailed: a step ended with an error.
        MynaError: the checkpoint or the features cannot be used, or the labels do not make a task.
    """
    head = parse_widths(settings.head)
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    chain = steps(settings, checkpoint.path)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    print(f"encoder: {checkpoint}")
    results = run(chain, settings.json)
    name = representations.of_checkpoint(checkpoint.path).name
    train, test = (_read(_Paths.of(dataset, name)) for dataset in _DATASETS[settings.data])
    data = key_recipe.prepare(train, test)
    counts = key_recipe.counts(data)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    cache = locations.run(name) / "probes" / "stacks"
    recipe = key_recipe.run_recipe(data, head, GridSearch(fastest_device(), torch.float32, cache, "key: "))
    print("\n".join(key_recipe.table(recipe)))
    scores = _write(settings, name, recipe, train, counts)
    if settings.json:
        print_json({**scores, "workflow": results})


def steps(settings: TrainKeySettings, encoder: Path) -> list[Step]:
    """Return the steps that make the features, in order.

    Args:
        settings: of the workflow.
        encoder: path of the checkpoint.
    """
    loaded = checkpoints.load(encoder)
    mel = changed_ingest_flags(loaded.mel, MelSpec().to_dict())
    workers = () if settings.workers is None else ("--workers", str(settings.workers))
    name = representations.of_checkpoint(encoder).name
    result = []
    for dataset in dict.fromkeys(_DATASETS[settings.data]):
        paths = _Paths.of(dataset, name)
        words = (dataset, "--store", str(paths.store), "--transpose", TRANSPOSITIONS, *_own_words(dataset, settings))
        extract = (str(paths.store), "--checkpoint", str(encoder), "--out", str(paths.features))
        result += [
            Step(f"ingest-{dataset}", pipeline.ingest.main, (*words, *mel, *workers)),
            Step(f"extract-{dataset}", model.extract.main, extract, (f"ingest-{dataset}",)),
        ]
    return result


def _own_words(dataset: str, settings: TrainKeySettings) -> tuple[str, ...]:
    """Return the words of `pipeline.ingest` that concern one dataset."""
    root = () if settings.root is None else ("--root", str(settings.root / dataset))
    demo = ("--clips", str(settings.clips), "--as-written") if dataset == "demo" else ()
    return ("--transpose-all", *root, *demo)


def _read(paths: _Paths) -> FeatureStore:
    features = FeatureStore.read(paths.features)
    return feature_labels.join(features, feature_labels.open_mel_store(features, paths.features), paths.features)


def _write(
    settings: TrainKeySettings, name: str, recipe: list[RecipeStep], train: FeatureStore, counts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the scores and the probe of the whole recipe, print where they are, and return the scores."""
    dataset = f"{_DATASETS[settings.data][0]}_{TRANSPOSITIONS}"
    path = probe_path(name, dataset, "key", RECIPE)
    metadata = {"dataset": dataset, "grid": RECIPE, "clips": dict(counts)}
    write_winning_probe(path, recipe[-1].probe, train.provenance, metadata)
    out = settings.out or locations.report(f"keys-{settings.data}").with_suffix(".json")
    rows = [step.to_dict(recipe[0]) for step in recipe]
    scores = {"data": settings.data, "run": name, "head": settings.head, "clips": dict(counts), "steps": rows}
    write_json(out, scores)
    print(f"scores: {out}\nprobe: {path}, for `python -m dags.key FOLDER --probe {path} --average-transpositions`")
    return {**scores, "scores": str(out), "probe": str(path)}
