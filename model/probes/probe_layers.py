"""The work of `python -m model.probe --layer`: score layers of an encoder, each with its own search of the grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from model.inference import representations
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.extraction import ExtractionConfig
from model.inference.layers import ALL, MEAN, MIX, Layer, blocks_of, suffix_of
from model.probes.config import Grid
from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.label_digest import label_digest
from model.probes.labeled_clips import SPLITS
from model.probes.results import layer_scores
from model.probes.results.layer_scores import LayerScore, LayerScores
from model.probes.results.winning_probe import probe_path, write_winning_probe
from model.probes.training.grid_search import GridSearch
from model.probes.training.layer_mix import mixing, mixing_weights
from stores import feature_labels, locations
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact
from stores.feature_layers import join_layers, select_layers
from stores.features import FeatureStore
from stores.mel_store import MelStore

LayerFeatures = list[tuple[int | str, FeatureStore]]
"""Each layer with its features."""


def layer_features(
    layer: int | str, dataset: str, checkpoint: Path, store: MelStore, loaded: LoadedCheckpoint
) -> LayerFeatures:
    """Return the features of a layer, or of every block and of their mean for `all`, with the labels of `store`.

    They come from the features of all layers, which are side by side for `mix`. For a single layer, its own features
    are used if they were extracted.

    Raises:
        MissingArtifact: there are no such features.
        DigestMismatch: they belong to another encoder, or to another mel than that of `store`.
        InvalidInput: the encoder has no such layer.
    """
    depth, name = loaded.encoder.config.depth, loaded.name
    blocks_of(layer, depth)  # raises the error about a block that does not exist
    own = locations.feature_store(dataset, f"{name}-{suffix_of(layer)}")
    if layer != ALL and own.exists():
        return [(layer, _read(own, store, checkpoint, dataset, layer))]
    path = locations.feature_store(dataset, f"{name}-{suffix_of(ALL)}")
    features = _read(path, store, checkpoint, dataset, ALL)
    if layer == MIX:
        return [(MIX, join_layers(features, blocks_of(MIX, depth), MIX, f"{name}-{suffix_of(MIX)}"))]
    layers = [*range(1, depth + 1), MEAN] if layer == ALL else [layer]
    chosen = ((each, blocks_of(each, depth), f"{name}-{suffix_of(each)}") for each in layers)
    return [(each, select_layers(features, blocks, each, named)) for each, blocks, named in chosen]


def score_layers(
    task: str, dataset: str, run: str, features: LayerFeatures, grid: Grid, search: Callable[[str], GridSearch]
) -> LayerScores:
    """Search the grid for every layer, write the scores and the winning probes, and return the scores.

    Scores of other layers that were written for the same encoder, labels and grid are kept.

    Args:
        task: name of the task.
        dataset: name of the dataset.
        run: name of the run.
        features: each layer with its features.
        grid: probes that are searched.
        search: function from the name of a layer to its search.

    Raises:
        InvalidInput: the labels do not make a task.
    """
    rows, metric, clips = [], "", dict[str, int]()
    for layer, store in features:
        blocks = store.provenance.get("mixed_layers", [])
        of_layer = search(suffix_of(layer))
        result = find_winning_probe(store, task, grid, mixing(of_layer, len(blocks)) if blocks else of_layer)
        clips = {split: len(result.task.splits[split].targets) for split in SPLITS}
        metric = next(iter(result.test))
        rows.append(LayerScore.of(layer, result))
        metadata = {"dataset": dataset, "grid": grid.name, "clips": clips}
        if blocks:
            metadata["mix"] = dict(zip(map(str, blocks), mixing_weights(result.search.probe, len(blocks)), strict=True))
        write_winning_probe(probe_path(run, dataset, task, suffix_of(layer)), result, store.provenance, metadata)
    first = features[0][1]
    scores = LayerScores(
        dataset=dataset,
        run=run,
        task=task,
        metric=metric,
        grid=grid.name,
        probes=len(grid.configs),
        clips=clips,
        features=layer_scores.digest_of(first.provenance),
        labels=label_digest(first.clips, task),
        rows=tuple(rows),
    )
    path = locations.layer_scores(run, dataset, task)
    merged = scores.merged_into(_previous(path))
    merged.write(path)
    return merged


def outdated(run: str, scores: LayerScores) -> str:
    """Return what scores of layers belong to instead of the current state, or empty text if they are current."""
    path = locations.feature_store(scores.dataset, f"{run}-{suffix_of(ALL)}")
    return next(_changes(path, scores), "")


def _changes(path: Path, scores: LayerScores) -> Iterator[str]:
    try:
        features = FeatureStore.read(path, any_axis=True)
        if layer_scores.digest_of(features.provenance) != scores.features:
            yield "features"
        store = feature_labels.open_mel_store(features, path)
    except (MissingArtifact, CorruptArtifact):
        return
    if label_digest(store.rows.select(state="written"), scores.task) != scores.labels:
        yield "labels"


def _previous(path: Path) -> LayerScores | None:
    try:
        return LayerScores.read(path)
    except (MissingArtifact, CorruptArtifact):
        return None


def _read(path: Path, store: MelStore, checkpoint: Path, dataset: str, layer: Layer) -> FeatureStore:
    command = f"python -m model.extract {dataset} --checkpoint {checkpoint} --layer {layer}"
    if not path.exists():
        raise MissingArtifact(f"no features at {path}; make them with `{command}`")
    features = FeatureStore.read(path, any_axis=True)
    config = ExtractionConfig(layer=layer)
    expected = representations.of_checkpoint(checkpoint, config).provenance(store)
    if differing := [key for key in ("encoder", "weights") if features.provenance.get(key) != expected.get(key)]:
        raise DigestMismatch(f"{path} was made with another {differing[0]}; run `{command}` again")
    return feature_labels.join(features, store, path)
