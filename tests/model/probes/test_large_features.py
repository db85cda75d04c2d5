"""Features that are too large for memory are probed, predicted, searched and mapped with the same results as others."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from model.page.map.mapped_clips import MappedClips
from model.probes.evaluation import knn
from model.probes.evaluation.evaluate import evaluate_representation
from model.probes.probe import Probe
from model.probes.results import scores
from model.probes.results.predictions import prediction_table
from model.probes.results.winning_probe import write_winning_probe
from model.probes.task import Task, task_names
from model.probes.training import inputs
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training.grid_search import GridSearch
from model.similarity.duplicates import clip_means
from model.similarity.exact import search, unit_rows
from stores import arrow_rows, mapped_array
from stores.features import FeatureStore, Spans, repeat_clips
from stores.manifest import ClipRows


@pytest.fixture
def little_memory(monkeypatch):
    """Return a function from which on every array is in a file, and no row is an object for longer than its use."""

    def begin():
        monkeypatch.setattr(mapped_array, "MAX_RAM_BYTES", 0)
        monkeypatch.setattr(mapped_array, "BLOCK_BYTES", 500)
        monkeypatch.setattr(inputs, "_BLOCK_ROWS", 7)
        monkeypatch.setattr(arrow_rows, "MAX_ROW_OBJECTS", 0)

    return begin


def in_arrow(features: FeatureStore) -> FeatureStore:
    return replace(features, rows=repeat_clips(ClipRows.of(features.clips), features.spans))


def result(features: FeatureStore):
    return evaluate_representation(features, "key", tiny.grid((0, 8)), GridSearch(torch.device("cpu"), torch.float32))


def test_probes_are_the_same_whether_features_are_in_memory_or_in_a_file(little_memory):
    features = tiny.separable(clips=90, noise=0.8)
    usual = result(features)
    little_memory()
    large = result(in_arrow(features))
    assert isinstance(in_arrow(features).rows, ClipRows)
    assert large.search.winner == usual.search.winner
    assert large.valid == usual.valid
    assert {name: one.value for name, one in large.test.items()} == {
        name: one.value for name, one in usual.test.items()
    }
    for ours, theirs in zip(large.search.probe.weights.tensors, usual.search.probe.weights.tensors, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_stores_are_read_and_predicted_the_same(little_memory, tmp_path):
    features = tiny.separable(clips=90, noise=0.8)
    features.write(tmp_path / "a.features.zarr")
    write_winning_probe(tmp_path / "p.safetensors", result(features), {"digest": "d"}, {"dataset": "a"})
    probe = Probe.read(tmp_path / "p.safetensors")
    ids = [row.id for row in features.rows]
    usual = prediction_table(probe, ids, features.embeddings, ids)
    little_memory()
    read = FeatureStore.read(tmp_path / "a.features.zarr")
    assert isinstance(read.rows, ClipRows)
    np.testing.assert_array_equal(read.embeddings, features.embeddings)
    large = prediction_table(probe, ids, read.embeddings, ids)
    assert large.column("prediction") == usual.column("prediction")
    np.testing.assert_allclose(large.column("probability"), usual.column("probability"), atol=1e-6)


def test_neighbors_and_the_map_are_the_same(little_memory):
    clip = np.repeat(np.arange(40), 3)
    windows = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    rows = tiny.separable(clips=40).rows
    spans = Spans(clip, np.tile([0.0, 1, 2], 40), np.ones(120, np.int64), np.zeros(120, bool))
    features = FeatureStore(windows, [rows[i] for i in clip], {"digest": "d"}, spans)
    usual = clip_means(features), search(unit_rows(windows[:2]), unit_rows(windows), 5)
    usual_map = MappedClips.select(features, 30)
    little_memory()
    np.testing.assert_allclose(clip_means(features), usual[0], atol=1e-7)
    np.testing.assert_array_equal(search(unit_rows(windows[:2]), unit_rows(windows), 5).rows, usual[1].rows)
    large_map = MappedClips.select(in_arrow(features), 30)
    assert [row.id for row in large_map.rows] == [row.id for row in usual_map.rows]
    np.testing.assert_array_equal(large_map.embeddings, usual_map.embeddings)


@pytest.mark.parametrize("task", ["key", "tags", "emotion"])
def test_tasks_are_the_same_from_columns_as_from_objects(task):
    labels = {
        "key": [["C major", "A minor", "nan", "8A or 9A"][i % 4] for i in range(48)],
        "tags": ["|".join(["rock", "pop"][: i % 3]) for i in range(48)],
        "emotion": [f"{i / 10}" for i in range(48)],
    }[task]
    splits = [("train", "valid", "test")[i // 4 % 3] for i in range(48)]
    label = "arousal" if task == "emotion" else task
    features = tiny.features(np.eye(48, 4), labels, splits, task=label)
    if task == "emotion":
        rows = [replace(row, labels={"arousal": row.labels["arousal"], "valence": "0.5"}) for row in features.rows]
        features = replace(features, rows=rows)
    columns = replace(features, rows=ClipRows.of(features.rows))
    usual, large = Task.of(features, task), Task.of(columns, task)
    assert (large.classes, large.kind, large.without_value) == (usual.classes, usual.kind, usual.without_value)
    assert task_names(columns.rows) == task_names(features.rows) == [task]
    for split in usual.splits:
        np.testing.assert_array_equal(large.splits[split].targets, usual.splits[split].targets)
        np.testing.assert_array_equal(large.splits[split].groups, usual.splits[split].groups)
        np.testing.assert_array_equal(large.splits[split].features, usual.splits[split].features)
    scores._require_same_clips({"trained": columns, "other": replace(columns, rows=ClipRows.of(list(features.rows)))})


def test_k_nn_compares_with_a_limited_number_of_training_clips(monkeypatch):
    task = Task.of(tiny.separable(clips=300), "key")
    usual = knn.outputs(task, "test").argmax(1)
    monkeypatch.setattr(knn, "MAX_TRAIN_CLIPS", 30)
    assert (knn.outputs(task, "test").argmax(1) == usual).mean() > 0.9


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_outputs_for_many_clips_hold_the_memory_of_a_block():
    clips, width, hidden, classes = 300_000, 256, 512, 8  # 293 MiB, which lie in a file
    features = mapped_array.empty((clips, width))
    features[:] = 1
    shapes = [(1, hidden, width), (1, hidden), (1, classes, hidden), (1, classes)]
    probe = Probe(torch.zeros(width), torch.ones(width), MlpWeights(tuple(torch.ones(shape) for shape in shapes)))
    probe.outputs(features[:20_000])
    before = anonymous_bytes()
    outputs = probe.outputs(features)
    assert outputs.shape == (clips, classes)
    assert anonymous_bytes() - before < outputs.nbytes + 6 * mapped_array.BLOCK_BYTES


def anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s*(\d+) kB", status)[1]) << 10
