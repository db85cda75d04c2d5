"""Grid search: validation chooses, test clips have no influence, and finished stacks come from the cache."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from model.probes.config import FULL
from model.probes.evaluation import knn, label_subsets
from model.probes.evaluation.evaluate import choose_aggregation, evaluate_representation
from model.probes.evaluation.scoring import metric_values, scored_outputs
from model.probes.hybrid_slices import slices_of
from model.probes.probe import Probe
from model.probes.task import Task
from model.probes.training import cache, grid_search
from model.probes.training.batched_trainer import BatchedTrainer
from model.probes.training.grid_search import GridSearch
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore

CPU = torch.device("cpu")
PLAIN = GridSearch(CPU, torch.float32)
GRID = tiny.grid((0, 512), patience=6)


def _task(**changed):
    return Task.of(tiny.separable(150, noise=0.5, **changed), "key")


def _test_accuracy(task, probe):
    outputs = probe.outputs(task.splits["test"].features)
    return metric_values(task, scored_outputs(task, "test", outputs))["accuracy"]


def _assert_equal_weights(first, second):
    for actual, expected in zip(first.weights.tensors, second.weights.tensors, strict=True):
        assert torch.equal(actual, expected)


def test_all_probes_are_trained_and_the_best_on_validation_wins():
    grid = replace(tiny.grid().with_configs(FULL.configs[::40]), patience=3)
    result = PLAIN.run(_task(), grid)
    assert [trained.config for trained in result.trained] == list(grid.configs)
    assert result.winner.score == max(trained.score for trained in result.trained)
    valid = _task().splits["valid"]
    outputs = result.probe.outputs(valid.features)
    assert (outputs.argmax(1) == valid.targets).mean() == pytest.approx(result.winner.score)


def test_test_clips_do_not_influence_the_search():
    task = _task()
    test = task.splits["test"]
    changed = replace(test, targets=(test.targets + 1) % 3, features=test.features * 1e6)
    first = PLAIN.run(task, GRID)
    second = PLAIN.run(replace(task, splits={**task.splits, "test": changed}), GRID)
    assert first.trained == second.trained
    _assert_equal_weights(first.probe, second.probe)


def test_the_standardizer_is_that_of_the_training_clips():
    task = _task()
    probe = PLAIN.run(task, GRID).probe
    train = task.splits["train"].features
    np.testing.assert_allclose(probe.mean, train.mean(0), atol=1e-6)
    np.testing.assert_allclose(probe.deviation, train.std(0), atol=1e-6)
    not_standardized = PLAIN.run(task, tiny.grid(standardised=False)).probe
    assert not not_standardized.mean.any()
    assert (not_standardized.deviation == 1).all()


def test_separable_classes_are_separated_and_random_features_score_at_chance():
    clear = Task.of(tiny.separable(90, noise=0.05), "key")
    assert _test_accuracy(clear, PLAIN.run(clear, tiny.grid(patience=30)).probe) == 1
    rng = np.random.default_rng(0)
    labels = [f"{label}" for label in rng.integers(0, 3, 900)]
    splits = [("train", "valid", "test")[i % 3] for i in range(900)]
    noise = Task.of(tiny.features(rng.normal(size=(900, 4)), labels, splits), "key")
    assert 0.2 < _test_accuracy(noise, PLAIN.run(noise, GRID).probe) < 0.47


def _count_trained_stacks(monkeypatch):
    """Record the configurations of every stack that is trained from now on."""
    trained = []

    def trainer(configs, *rest):
        trained.append(configs)
        return BatchedTrainer(configs, *rest)

    monkeypatch.setattr(grid_search, "BatchedTrainer", trainer)
    return trained


def test_finished_stacks_come_from_the_cache_unless_their_file_is_damaged(tmp_path, monkeypatch):
    cached = replace(PLAIN, cache_folder=tmp_path)
    first = cached.run(_task(), GRID)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2  # a stack with a hidden layer and one without
    files[0].write_bytes(b"no")
    trained = _count_trained_stacks(monkeypatch)
    second = cached.run(_task(), GRID)
    assert len(trained) == 1
    assert second.trained == first.trained
    _assert_equal_weights(second.probe, first.probe)


def test_an_interrupted_search_continues_with_the_missing_stacks(tmp_path, monkeypatch):
    cached = replace(PLAIN, cache_folder=tmp_path)

    class Interrupted(BatchedTrainer):
        def train(self, on_evaluation):
            if not self.configs[0].hidden:
                while not list(tmp_path.iterdir()):  # another thread may still train the stack with a hidden layer
                    time.sleep(0.01)
                raise KeyboardInterrupt
            return super().train(on_evaluation)

    monkeypatch.setattr(grid_search, "BatchedTrainer", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached.run(_task(), GRID)
    assert len(list(tmp_path.iterdir())) == 1
    trained = _count_trained_stacks(monkeypatch)
    assert cached.run(_task(), GRID).trained == PLAIN.run(_task(), GRID).trained
    assert trained[0] == [GRID.configs[0]]


@pytest.mark.parametrize("changed", ["patience", "task", "precision"])
def test_results_of_other_settings_are_not_used(tmp_path, changed):
    replace(PLAIN, cache_folder=tmp_path).run(_task(), GRID)
    count = len(list(tmp_path.iterdir()))
    grid = replace(GRID, patience=7) if changed == "patience" else GRID
    precision = torch.bfloat16 if changed == "precision" else torch.float32
    task = _task(seed=1) if changed == "task" else _task()
    GridSearch(CPU, precision, tmp_path).run(task, grid)
    assert len(list(tmp_path.iterdir())) == 2 * count


def test_an_error_in_one_stack_ends_the_others(monkeypatch):
    class Failing(BatchedTrainer):
        def train_interval(self):
            raise RuntimeError("made to fail")

    monkeypatch.setattr(grid_search, "BatchedTrainer", Failing)
    with pytest.raises(RuntimeError, match="made to fail"):
        PLAIN.run(_task(), replace(FULL, configs=FULL.configs[::20]))


def test_features_without_a_finite_validation_score_are_an_error():
    task = _task()
    valid = replace(task.splits["valid"], features=np.full((50, 4), np.inf, np.float32))
    with pytest.raises(InvalidInput, match="no probe of task 'key' had a finite validation score"):
        PLAIN.run(replace(task, splits={**task.splits, "valid": valid}), GRID)


METADATA = {"task": "key", "kind": "classes", "vote": "", "part": "", "columns": [0, 4], "features": {}}


def test_a_probe_is_read_as_it_was_written(tmp_path):
    task = _task()
    probe = replace(PLAIN.run(task, GRID).probe, metadata={**METADATA, "classes": list(task.classes)})
    probe.write(tmp_path / "p.safetensors")
    read = Probe.read(tmp_path / "p.safetensors")
    features = task.splits["test"].features
    np.testing.assert_array_equal(read.outputs(features), probe.outputs(features))
    assert read.metadata == probe.metadata


def test_missing_and_damaged_probe_files_are_an_error(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no probe at .*model\.probe DATASET"):
        Probe.read(tmp_path / "none.safetensors")
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(CorruptArtifact, match="is not a probe that this version reads"):
        Probe.read(tmp_path / "no.safetensors")
    probe = PLAIN.run(_task(), GRID).probe
    for metadata in ({**METADATA, "classes": ["a"]}, {}, {**METADATA, "classes": [1, 2, 3]}):
        replace(probe, metadata=metadata).write(tmp_path / "p.safetensors")
        with pytest.raises(CorruptArtifact):
            Probe.read(tmp_path / "p.safetensors")
    zero_deviation = replace(probe, deviation=torch.zeros(4), metadata={**METADATA, "classes": ["a", "b", "c"]})
    zero_deviation.write(tmp_path / "p.safetensors")
    with pytest.raises(CorruptArtifact, match="standardizer"):
        Probe.read(tmp_path / "p.safetensors")


HYBRID = {"encoder": {"run": {"encoder": {"patches": "hybrid"}}}}


def test_a_hybrid_has_three_slices_and_other_encoders_have_one():
    assert slices_of(HYBRID, 8) == {"concatenated": slice(0, 8), "square": slice(0, 4), "vertical": slice(4, 8)}
    assert slices_of({"encoder": {"encoder": {"patches": "vertical"}}}, 8) == {"": slice(0, 8)}
    assert slices_of({"digest": "d"}, 8) == {"": slice(0, 8)}


def test_the_hybrid_slice_that_is_best_on_validation_is_scored():
    separable = tiny.separable(150, noise=0.3)
    noise = 30 * np.random.default_rng(0).normal(size=(150, 4))
    slices = {"vertical": [noise, separable.embeddings], "square": [separable.embeddings, noise]}
    for slice_name, halves in slices.items():
        embeddings = np.concatenate(halves, axis=1).astype(np.float32)
        store = FeatureStore(embeddings, separable.rows, {"digest": "d", **HYBRID})
        result = evaluate_representation(store, "key", tiny.grid(standardised=False, patience=20), PLAIN)
        assert result.slice_name == slice_name
        assert result.task.splits["test"].features.shape[1] == 4
        assert list(result.slices) == ["concatenated", "square", "vertical"]
        assert max(result.slices, key=lambda name: result.slices[name]["valid"]) == slice_name
        assert result.slices[slice_name]["test"] == {"accuracy": result.test["accuracy"].value}
        other = result.slices["square" if slice_name == "vertical" else "vertical"]
        assert other["test"]["accuracy"] < result.test["accuracy"].value


def test_the_song_level_aggregation_is_chosen_on_validation():
    task = _task()
    songs = np.arange(50) // 5
    valid = replace(task.splits["valid"], songs=songs, targets=np.zeros(50, np.int64))
    keys = ("C major", "D major", "E major")
    with_songs = replace(task, kind="key", classes=keys, splits={**task.splits, "valid": valid})

    class FixedProbe:
        def outputs(self, _features):
            """Return large outputs for C in two of five clips, and small outputs for D in three."""
            of_song = np.array([[9, 0, 0], [9, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)
            return np.tile(of_song, (10, 1))

    assert choose_aggregation(with_songs, FixedProbe()) == "max"
    assert choose_aggregation(task, FixedProbe()) == ""


def test_knn_classifies_separable_clips():
    task = Task.of(tiny.separable(90, noise=0.05), "key")
    outputs = knn.outputs(task, "test")
    assert (outputs.argmax(1) == task.splits["test"].targets).all()
    np.testing.assert_allclose(np.exp(outputs).sum(1), 1, atol=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_label_subset_keeps_the_balance_of_classes_and_whole_groups(share):
    rng = np.random.default_rng(0)
    labels = [f"{label}" for label in rng.choice(4, 1200, p=[0.1, 0.2, 0.3, 0.4])]
    splits = [("train", "valid", "test")[i % 3] for i in range(1200)]
    groups = [f"{splits[i]}-{i // 6}" for i in range(1200)]
    task = Task.of(tiny.features(np.zeros((1200, 1)), labels, splits, groups), "key")
    train = task.splits["train"]
    subset = label_subsets.label_subset(task, share, 0)
    assert len(subset) == pytest.approx(share * 400, abs=8)
    counts, whole = np.bincount(train.targets[subset], minlength=4), np.bincount(train.targets)
    np.testing.assert_allclose(counts, share * whole, atol=0.35 * share * whole.min() + 3)
    others = set(range(400)) - set(subset.tolist())
    assert not set(train.groups[subset].tolist()) & set(train.groups[list(others)].tolist())
    assert (label_subsets.label_subset(task, share, 0) == subset).all()
    assert label_subsets.label_subset(task, share, 1).tolist() != subset.tolist()


def test_a_small_label_subset_has_every_class():
    labels = ["rare"] * 2 + ["often"] * 58
    train = ["train"] * 60
    store = tiny.features(np.zeros((64, 1)), labels + ["rare", "often"] * 2, [*train, "valid", "valid", "test", "test"])
    task = Task.of(store, "key")
    assert set(task.splits["train"].targets[label_subsets.label_subset(task, 0.1, 0)].tolist()) == {0, 1}


def test_the_digest_of_a_task_depends_on_train_and_valid_but_not_on_test():
    task = _task()
    test = replace(task.splits["test"], features=task.splits["test"].features + 1)
    assert cache.task_digest(replace(task, splits={**task.splits, "test": test})) == cache.task_digest(task)
    valid = replace(task.splits["valid"], targets=(task.splits["valid"].targets + 1) % 3)
    assert cache.task_digest(replace(task, splits={**task.splits, "valid": valid})) != cache.task_digest(task)
