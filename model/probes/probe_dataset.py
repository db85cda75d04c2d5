"""The work of `python -m model.probe`: score all representations of a dataset on its tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from model.encoder import hub_models
from model.encoder.device import fastest_device, fastest_precision
from model.inference import external_embeddings, representations
from model.inference.layers import parse_layer
from model.inference.representations import BASELINES, Representation
from model.probes.config import Grid, ProbeSettings
from model.probes.few_shot import FewShotEvaluation
from model.probes.probe_layers import LayerFeatures, layer_features, score_layers
from model.probes.results import layer_scores, scores
from model.probes.results.text_table import table
from model.probes.results.winning_probe import probe_path, write_winning_probe
from model.probes.task import Task, task_names
from model.probes.training.grid_search import GridSearch
from model.probes.training.stack_task import TaskRunner
from stores import feature_labels, locations, remote_link
from stores.commit import remove_temporary_files
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.json_output import print_json
from stores.mel_store import MelStore


def probe_dataset(settings: ProbeSettings, run_tasks: TaskRunner | None = None) -> None:
    """Score the encoder's features, the baselines and other embeddings on each task, and print the scores.

    Args:
        settings: the settings.
        run_tasks: function that runs the tasks of a cluster (default: this process trains all probes).

    Raises:
        MynaError: the store, the checkpoint or the features cannot be used, or the labels do not make a task.
    """
    grid = settings.search_grid()
    mel_path = remote_link.store_path(settings.store or settings.dataset)
    store = MelStore.open(mel_path) if settings.store or mel_path.exists() else None
    tasks = list(settings.task) or (_tasks(store, settings.dataset) if store else [])
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    path, trained = checkpoint.path, representations.of_checkpoint(checkpoint.path)
    print(f"encoder: {checkpoint}")
    dataset = locations.dataset_of(remote_link.store_path(settings.dataset))
    store = store or _recorded_store(trained.path(dataset), mel_path)
    tasks = tasks or _tasks(store, settings.dataset)
    _remove_temporary_files(trained.name)
    if (layer := parse_layer(settings.layer, accepts_mix=True)) is not None:
        layers = layer_features(layer, dataset, path, store, trained.loaded)
        _score_layers(tasks, dataset, trained.name, layers, grid, settings.json)
        return
    features = _all_features(settings, dataset, store, trained, path)
    results = []
    for task in tasks:
        for note in Task.of(features[scores.TRAINED], task).notes():
            print(f"note: {note}", file=sys.stderr)
        if settings.few_shot.train_groups is None:
            search = _search(trained.name, task, run_tasks)
            results.append(_score(task, dataset, trained.name, features, grid, search))
        else:
            few_shot = FewShotEvaluation(settings.few_shot.train_groups, settings.few_shot.draws)
            results.append(few_shot.score(task, dataset, trained.name, features))
            print(table(results[-1]))
    if settings.json:
        print_json({"tasks": [asdict(one) for one in results]})


def _recorded_store(features: Path, mel_path: Path) -> MelStore:
    """Open the mel store that the features record, because there is none at `mel_path`."""
    try:
        return feature_labels.open_mel_store(FeatureStore.read(features), features)
    except MissingArtifact:
        return MelStore.open(mel_path)  # reports which one is missing


def _remove_temporary_files(run: str) -> None:
    """Remove what a killed command has left in the folders that this one writes."""
    for folder in ("probes", "scores"):
        remove_temporary_files(locations.run(run) / folder, spares_running=True)


def _all_features(
    settings: ProbeSettings, dataset: str, store: MelStore, trained: Representation, checkpoint: Path
) -> dict[str, FeatureStore]:
    """Return the features of the encoder, of all baselines and of other models, by representation."""
    encoder_features = _extracted_features(trained, store, dataset, settings.dataset, checkpoint)
    others = _external_features(settings.features, encoder_features, dataset)
    # baselines take minutes, so tasks that cannot be scored are reported before them
    for task in settings.task or _tasks(store, settings.dataset)[:1]:
        Task.of(encoder_features, task)
    features = {scores.TRAINED: encoder_features}
    for name in BASELINES:
        baseline = representations.baseline(name, checkpoint)
        features[name] = baseline.extract(store, baseline.path(dataset))
    return features | others


def _score_layers(
    tasks: Sequence[str], dataset: str, run: str, features: LayerFeatures, grid: Grid, as_json: bool
) -> None:
    scored = []
    for task in tasks:
        scored.append(score_layers(task, dataset, run, features, grid, _search(run, task)))
        print(layer_scores.table(scored[-1]))
    if as_json:
        print_json({"layers": [one.to_dict() for one in scored]})


def _search(run: str, task: str, run_tasks: TaskRunner | None = None) -> Callable[[str], GridSearch]:
    """Return the function from the name of a representation to its search."""
    device = fastest_device()
    precision = torch.bfloat16 if fastest_precision() == "bf16" else torch.float32
    cache_folder = locations.run(run) / "probes" / "stacks"
    return lambda name: GridSearch(device, precision, cache_folder, f"{task}: {name}", run_tasks)


def _score(
    task: str,
    dataset: str,
    run: str,
    features: Mapping[str, FeatureStore],
    grid: Grid,
    search: Callable[[str], GridSearch],
) -> scores.Scores:
    """Search the grid for every representation, write scores and winning probes, print the scores and return them."""
    results = scores.evaluate_representations(task, features, grid, search)
    task_scores = scores.score_representations(task, dataset, run, features, grid, results)
    metadata = {"dataset": dataset, "grid": grid.name, "clips": task_scores.clips}
    for name, result in results.items():
        write_winning_probe(probe_path(run, dataset, task, name), result, features[name].provenance, metadata)
    task_scores.write(locations.scores(run, dataset, task))
    print(table(task_scores))
    path = probe_path(run, dataset, task, scores.TRAINED)
    print(f"  probes: {path} and {len(task_scores.rows) - 1} others in the same folder")
    return task_scores


def _external_features(paths: Sequence[Path], features: FeatureStore, dataset: str) -> dict[str, FeatureStore]:
    """Return the embeddings of other models for the clips of `features`, by the names of their files."""
    external: dict[str, FeatureStore] = {}
    for path in paths:
        stem = path.stem.removesuffix(".features").removeprefix(f"{dataset}.")
        name = locations.validate_name(stem.replace(".", "-"))
        if name in (*external, scores.TRAINED, *BASELINES):
            raise InvalidInput(f"{path} would be named {name!r}, like another representation; rename the file")
        external[name] = external_embeddings.read(path).of(features.rows, path)
    return external


def _extracted_features(
    trained: Representation, store: MelStore, dataset: str, dataset_word: str, checkpoint: Path
) -> FeatureStore:
    """Return the features that `model.extract` has written, if they belong to this store and this encoder."""
    path = trained.path(dataset)
    command = f"python -m model.extract {dataset_word} --checkpoint {checkpoint}"
    if not path.exists():
        raise MissingArtifact(f"no features at {path}; make them with `{command}`")
    features, expected = FeatureStore.read(path), trained.provenance(store)
    # not the whole digest, because features from another machine or in another precision are accepted
    if differing := [key for key in ("encoder", "weights") if features.provenance.get(key) != expected.get(key)]:
        raise DigestMismatch(f"{path} was made with another {differing[0]}; run `{command}` again")
    return feature_labels.join(features, store, path)


def _tasks(store: MelStore, dataset: str) -> list[str]:
    names = task_names(store.rows.select(state="written"))
    if not names:
        raise InvalidInput(
            f"the clips of {dataset!r} have no labels, and a probe needs labels; ingest a dataset with labels, or a "
            "folder with --labels"
        )
    return names
