"""The search: validation chooses, test has no say, and what was finished is not done again."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from model.probes.config import FULL
from model.probes.evaluation import knn, label_subsets
from model.probes.evaluation.evaluate import chosen_vote, evaluate
from model.probes.evaluation.scoring import point, scored
from model.probes.hybrid_slices import parts_of
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


def test_every_probe_ends_and_the_best_on_validation_wins():
    grid = tiny.grid().of(FULL.configs[::40])
    found = PLAIN.best(_task(), replace(grid, patience=3))
    assert [one.config for one in found.every] == list(grid.configs)
    assert found.trained.score == max(one.score for one in found.every)
    outputs = found.head.outputs(_task().splits["valid"].features)
    assert (outputs.argmax(1) == _task().splits["valid"].targets).mean() == pytest.approx(found.trained.score)


def test_test_clips_have_no_say():
    task = _task()
    part = task.splits["test"]
    other = replace(part, targets=(part.targets + 1) % 3, features=part.features * 1e6)
    one, two = (PLAIN.best(each, GRID) for each in (task, replace(task, splits={**task.splits, "test": other})))
    assert one.every == two.every
    for mine, theirs in zip(one.head.weights.tensors, two.head.weights.tensors, strict=True):
        assert torch.equal(mine, theirs)


def test_the_standardiser_is_that_of_train_alone():
    task = _task()
    head = PLAIN.best(task, GRID).head
    train = task.splits["train"].features
    np.testing.assert_allclose(head.mean, train.mean(0), atol=1e-6)
    np.testing.assert_allclose(head.deviation, train.std(0), atol=1e-6)
    plain = PLAIN.best(task, tiny.grid(standardised=False)).head
    assert not plain.mean.any()
    assert (plain.deviation == 1).all()


def test_classes_that_can_be_told_apart_are_and_noise_is_worth_a_guess():
    clear = Task.of(tiny.separable(90, noise=0.05), "key")
    head = PLAIN.best(clear, tiny.grid(patience=30)).head
    assert point(clear, scored(clear, "test", head.outputs(clear.splits["test"].features)))["accuracy"] == 1
    rng = np.random.default_rng(0)
    labels, splits = (
        [f"{one}" for one in rng.integers(0, 3, 900)],
        [("train", "valid", "test")[i % 3] for i in range(900)],
    )
    noise = Task.of(tiny.features(rng.normal(size=(900, 4)), labels, splits), "key")
    head = PLAIN.best(noise, GRID).head
    assert 0.2 < point(noise, scored(noise, "test", head.outputs(noise.splits["test"].features)))["accuracy"] < 0.47


def test_what_was_finished_is_not_done_again_and_a_damaged_file_is(tmp_path, monkeypatch):
    kept = replace(PLAIN, folder=tmp_path)
    first = kept.best(_task(), GRID)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2  # a stack with a hidden layer and one without
    files[0].write_bytes(b"no")
    trained = []
    monkeypatch.setattr(
        grid_search, "BatchedTrainer", lambda configs, *rest: trained.append(configs) or BatchedTrainer(configs, *rest)
    )
    again = kept.best(_task(), GRID)
    assert len(trained) == 1
    assert again.every == first.every
    for mine, theirs in zip(again.head.weights.tensors, first.head.weights.tensors, strict=True):
        assert torch.equal(mine, theirs)


def test_a_search_that_was_stopped_goes_on_with_the_stacks_that_are_missing(tmp_path, monkeypatch):
    kept, trained = replace(PLAIN, folder=tmp_path), []

    class Stopped(BatchedTrainer):
        def train(self, tell):
            if not self.configs[0].hidden:
                while not list(tmp_path.iterdir()):  # another thread may still train the hidden ones
                    time.sleep(0.01)
                raise KeyboardInterrupt
            return super().train(tell)

    monkeypatch.setattr(grid_search, "BatchedTrainer", Stopped)
    with pytest.raises(KeyboardInterrupt):
        kept.best(_task(), GRID)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(
        grid_search, "BatchedTrainer", lambda configs, *rest: trained.append(configs) or BatchedTrainer(configs, *rest)
    )
    assert kept.best(_task(), GRID).every == PLAIN.best(_task(), GRID).every
    assert trained[0] == [GRID.configs[0]]


@pytest.mark.parametrize("changed", ["patience", "task", "precision"])
def test_what_was_finished_under_other_settings_is_not_taken(tmp_path, changed):
    replace(PLAIN, folder=tmp_path).best(_task(), GRID)
    count = len(list(tmp_path.iterdir()))
    grid = replace(GRID, patience=7) if changed == "patience" else GRID
    precision = torch.bfloat16 if changed == "precision" else torch.float32
    task = _task(seed=1) if changed == "task" else _task()
    GridSearch(CPU, precision, tmp_path).best(task, grid)
    assert len(list(tmp_path.iterdir())) == 2 * count


def test_an_error_in_one_stack_ends_the_others(monkeypatch):
    class Failing(BatchedTrainer):
        def take_round(self):
            raise RuntimeError("made to fail")

    monkeypatch.setattr(grid_search, "BatchedTrainer", Failing)
    with pytest.raises(RuntimeError, match="made to fail"):
        PLAIN.best(_task(), replace(FULL, configs=FULL.configs[::20]))


def test_features_that_no_probe_can_read_are_refused():
    task = _task()
    valid = replace(task.splits["valid"], features=np.full((50, 4), np.inf, np.float32))
    with pytest.raises(InvalidInput, match="no probe of task 'key' ever had a validation score that is finite"):
        PLAIN.best(replace(task, splits={**task.splits, "valid": valid}), GRID)


def test_a_probe_comes_back_from_its_file_as_it_was(tmp_path):
    task = _task()
    head = replace(PLAIN.best(task, GRID).head, facts={"classes": list(task.classes), "vote": ""})
    head.write(tmp_path / "p.safetensors")
    again = Probe.read(tmp_path / "p.safetensors")
    features = task.splits["test"].features
    np.testing.assert_array_equal(again.outputs(features), head.outputs(features))
    assert again.facts == head.facts


def test_files_that_hold_no_probe_are_refused(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no probe at .*model\.probe DATASET"):
        Probe.read(tmp_path / "none.safetensors")
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(CorruptArtifact, match="is not a probe that this version reads"):
        Probe.read(tmp_path / "no.safetensors")
    head = PLAIN.best(_task(), GRID).head
    for facts in ({"classes": ["a"]}, {}, {"classes": [1, 2, 3]}):
        replace(head, facts=facts).write(tmp_path / "p.safetensors")
        with pytest.raises(CorruptArtifact):
            Probe.read(tmp_path / "p.safetensors")
    replace(head, deviation=torch.zeros(4), facts={"classes": ["a", "b", "c"]}).write(tmp_path / "p.safetensors")
    with pytest.raises(CorruptArtifact, match="standardiser"):
        Probe.read(tmp_path / "p.safetensors")


HYBRID = {"encoder": {"run": {"encoder": {"patches": "hybrid"}}}}


def test_a_hybrids_embedding_has_three_parts_and_others_one():
    assert parts_of(HYBRID, 8) == {"concatenated": slice(0, 8), "square": slice(0, 4), "vertical": slice(4, 8)}
    assert parts_of({"encoder": {"encoder": {"patches": "vertical"}}}, 8) == {"": slice(0, 8)}
    assert parts_of({"digest": "d"}, 8) == {"": slice(0, 8)}


def test_the_part_of_a_hybrid_that_validation_likes_best_is_scored():
    known = tiny.separable(150, noise=0.3)
    noise = 30 * np.random.default_rng(0).normal(size=(150, 4))
    for part, halves in (("vertical", [noise, known.embeddings]), ("square", [known.embeddings, noise])):
        embeddings = np.concatenate(halves, axis=1).astype(np.float32)
        store = FeatureStore(embeddings, known.rows, {"digest": "d", **HYBRID})
        found = evaluate(store, "key", tiny.grid(standardised=False, patience=20), PLAIN)
        assert found.part == part
        assert found.task.splits["test"].features.shape[1] == 4


def test_the_vote_is_chosen_on_validation():
    task = _task()
    songs = np.arange(50) // 5
    part = replace(task.splits["valid"], songs=songs, targets=np.zeros(50, np.int64))
    voted = replace(task, kind="key", classes=("C major", "D major", "E major"), splits={**task.splits, "valid": part})

    class Fixed:
        def outputs(self, _features):
            """Two clips of five say C loudly, three say D."""
            of_song = np.array([[9, 0, 0], [9, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)
            return np.tile(of_song, (10, 1))

    assert chosen_vote(voted, Fixed()) == "max"
    assert chosen_vote(task, Fixed()) == ""


def test_neighbours_find_what_is_near():
    task = Task.of(tiny.separable(90, noise=0.05), "key")
    found = knn.outputs(task, "test")
    assert (found.argmax(1) == task.splits["test"].targets).all()
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_share_of_the_clips_keeps_the_balance_of_classes_and_whole_groups(share):
    rng = np.random.default_rng(0)
    labels = [f"{one}" for one in rng.choice(4, 1200, p=[0.1, 0.2, 0.3, 0.4])]
    groups = [f"{('train', 'valid', 'test')[i % 3]}-{i // 6}" for i in range(1200)]
    store = tiny.features(np.zeros((1200, 1)), labels, [("train", "valid", "test")[i % 3] for i in range(1200)], groups)
    task = Task.of(store, "key")
    train = task.splits["train"]
    chosen = label_subsets.share_of(task, share, 0)
    assert len(chosen) == pytest.approx(share * 400, abs=8)
    counts, whole = np.bincount(train.targets[chosen], minlength=4), np.bincount(train.targets)
    np.testing.assert_allclose(counts, share * whole, atol=0.35 * share * whole.min() + 3)
    left = set(range(400)) - set(chosen.tolist())
    assert not set(train.groups[chosen].tolist()) & set(train.groups[list(left)].tolist())
    assert (label_subsets.share_of(task, share, 0) == chosen).all()
    assert label_subsets.share_of(task, share, 1).tolist() != chosen.tolist()


def test_a_small_share_leaves_no_class_out():
    labels = ["rare"] * 2 + ["often"] * 58
    train = ["train"] * 60
    store = tiny.features(np.zeros((64, 1)), labels + ["rare", "often"] * 2, [*train, "valid", "valid", "test", "test"])
    task = Task.of(store, "key")
    assert set(task.splits["train"].targets[label_subsets.share_of(task, 0.1, 0)].tolist()) == {0, 1}


def test_the_digest_of_a_task_is_of_what_probes_see():
    task = _task()
    test = replace(task.splits["test"], features=task.splits["test"].features + 1)
    assert cache.task_digest(replace(task, splits={**task.splits, "test": test})) == cache.task_digest(task)
    valid = replace(task.splits["valid"], targets=(task.splits["valid"].targets + 1) % 3)
    assert cache.task_digest(replace(task, splits={**task.splits, "valid": valid})) != cache.task_digest(task)
