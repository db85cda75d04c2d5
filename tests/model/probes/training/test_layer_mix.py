"""Probes of a learned mixture of layers: they find the layer that matters, and equal the same head on all layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.task import Task
from model.probes.training import cache
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.grid_search import GridSearch
from model.probes.training.inputs import task_tensors
from model.probes.training.layer_mix import LayerMixSearch, _MixedProbe, mixing, mixing_weights

CPU = torch.device("cpu")
SEARCH = LayerMixSearch(CPU, torch.float32, layers=3)


def _features(noise_layers=(0, 2), clips=90):
    """Return layers side by side, of which only the second tells the classes."""
    separable = tiny.separable(clips=clips)
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=separable.embeddings.shape) for _ in range(3)]
    for layer in range(3):
        if layer not in noise_layers:
            layers[layer] = separable.embeddings
    joined = np.concatenate(layers, axis=1).astype(np.float32)
    return replace(separable, embeddings=joined, provenance={"digest": "d", "mixed_layers": [1, 2, 3]})


@pytest.mark.parametrize("hidden", [0, 8, (8, 6)])
def test_the_layer_that_tells_the_classes_gets_the_largest_weight(hidden):
    result = find_winning_probe(_features(), "key", tiny.grid(hidden=(hidden,), patience=20), SEARCH)
    assert result.test["accuracy"].value > 0.9
    shares = mixing_weights(result.search.probe, 3)
    assert sum(shares) == pytest.approx(1)
    assert np.argmax(shares) == 1
    assert shares[1] > 0.4


def test_the_stored_head_gives_the_outputs_of_mixture_and_head():
    task = Task.of(_features(), "key")
    grid = tiny.grid(hidden=(8,))
    tensors = task_tensors(task, CPU)
    probe = _MixedProbe(grid.configs[0], tensors, 3)
    for interval in range(3):
        probe.train_interval(interval)
    probe.keep(0.0)
    mixed = probe._mix(probe._valid).detach()
    head = MlpWeights(tuple(tensor.detach()[None] for tensor in probe._head))
    mean, deviation = tensors.scaler
    joined = probe.best.outputs(((tensors.valid - mean) / deviation)[None], torch.float32)
    torch.testing.assert_close(joined, head.outputs(mixed[None], torch.float32), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(probe._scores, probe._scores.mean())
    assert float(probe._gain.detach()) != 1


def test_one_layer_trains_a_head_like_that_of_other_probes():
    features = tiny.separable()
    grid = replace(tiny.grid(), max_evaluations=6)
    plain = find_winning_probe(features, "key", grid, GridSearch(CPU, torch.float32))
    mixed = find_winning_probe(features, "key", grid, LayerMixSearch(CPU, torch.float32, layers=1))
    assert mixed.search.winner.steps == plain.search.winner.steps
    assert mixed.valid["accuracy"] == pytest.approx(plain.valid["accuracy"], abs=0.1)
    assert mixing_weights(mixed.search.probe, 1) == [1]


def test_results_are_cached_apart_from_those_of_other_probes(tmp_path):
    features, grid = _features(), tiny.grid()
    search = replace(SEARCH, cache_folder=tmp_path)
    first = find_winning_probe(features, "key", grid, search)
    (stored,) = tmp_path.iterdir()
    plain = GridSearch(CPU, torch.float32, tmp_path)
    find_winning_probe(features, "key", grid, plain)
    assert len(list(tmp_path.iterdir())) == 2
    again = find_winning_probe(features, "key", grid, search)
    assert again.search.winner == first.search.winner
    assert stored.exists()
    assert cache.task_digest(first.task) in SEARCH._digest(first.task)


def test_a_search_becomes_one_of_a_mixture_with_the_same_settings(tmp_path):
    assert mixing(GridSearch(CPU, torch.float32, tmp_path, "key"), 4) == LayerMixSearch(
        CPU, torch.float32, tmp_path, "key", layers=4
    )


def test_halves_of_a_hybrid_are_not_searched_in_layers_side_by_side():
    features = _features()
    provenance = {**features.provenance, "encoder": {"patches": "hybrid"}}
    result = find_winning_probe(replace(features, provenance=provenance), "key", tiny.grid(), SEARCH)
    assert result.slice_name == ""
