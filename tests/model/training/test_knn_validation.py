"""k-NN validation: votes equal those of a plain loop, test clips are never read, and the run is left unchanged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from model.encoder.vit import Encoder
from model.training import knn_validation
from model.training.knn_validation import KnnValidation, vote
from stores.errors import DigestMismatch, InvalidInput
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

SPLITS = ["train", "valid", "test"] * 6
LABELS = ["a", "a", "a", "b", "b", "b"] * 3
LENGTHS = [100, 96, 120, 300, 50, 97, 400, 110, 99] * 2


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder(tiny.encoder_config())


@pytest.fixture
def store(make_store):
    created = make_store(LENGTHS, splits=SPLITS)
    created.update([replace(row, labels={"genre": label}) for row, label in zip(created.rows, LABELS, strict=True)])
    return created


def _from_store(store, task="genre", mel=None):
    return KnnValidation.from_store(store, task, 96, mel or {})


def _separable(clips=40, train_clips=30, classes=4):
    """Return a validation with one window per clip, in which each class is a band of loud mel bins with noise."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, clips)
    codes = rng.integers(0, 40, (clips, 128, 96)).astype(np.uint8)
    for window, target in zip(codes, targets, strict=True):
        window[32 * target : 32 * target + 32] += 150
    return KnnValidation("band of made", codes, np.arange(clips), targets, train_clips, Quantizer())


def _vote_by_loops(embeddings, labels, queries):
    winners = []
    for query in queries:
        similar = sorted((float(query @ other), int(label)) for other, label in zip(embeddings, labels, strict=True))
        votes = {}
        for cosine, label in similar[-10:]:
            votes[label] = votes.get(label, 0.0) + math.exp(cosine / 0.07)
        winners.append(max(sorted(votes), key=votes.get))
    return winners


@pytest.mark.parametrize("clips", [1, 7, 10, 60])
def test_votes_equal_those_of_a_plain_loop(clips):
    rng = np.random.default_rng(clips)
    points = rng.normal(size=(clips + 40, 6))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = rng.integers(0, 5, clips)
    predicted = vote(*map(torch.from_numpy, (points[:clips], labels, points[clips:])))
    assert predicted.tolist() == _vote_by_loops(points[:clips], labels, points[clips:])


def test_separable_classes_are_predicted_and_the_majority_scores_less(encoder):
    validation = _separable()
    assert validation.accuracy(encoder, "fp32") == 1.0
    most_frequent = np.bincount(validation.targets[:30]).argmax()
    assert validation.majority == (validation.targets[30:] == most_frequent).mean() < 0.6


def test_random_labels_are_predicted_at_chance(encoder):
    validation = _separable(clips=400, train_clips=200)
    shuffled = replace(validation, targets=np.random.default_rng(1).permutation(validation.targets))
    assert 0.1 < shuffled.accuracy(encoder, "fp32") < 0.4


def test_the_embedding_of_a_clip_is_the_mean_over_its_windows(encoder):
    validation = _separable(clips=20, train_clips=10)
    clips = np.repeat(np.arange(10), 2)
    of_two_windows = replace(validation, clips=clips, targets=validation.targets[:10], train_clips=5)
    mels = torch.from_numpy(validation.quantizer.decode(validation.codes))
    with torch.no_grad():
        expected = encoder(mels).view(10, 2, -1).mean(dim=1)
    torch.testing.assert_close(of_two_windows._embed(encoder, "fp32"), expected)


def test_embeddings_do_not_depend_on_the_batch_size(encoder, monkeypatch):
    validation = _separable()
    expected = validation._embed(encoder, "fp32")
    monkeypatch.setattr(knn_validation, "BATCH_WINDOWS", 7)
    torch.testing.assert_close(validation._embed(encoder, "fp32"), expected)


def test_validation_changes_nothing_of_the_run(encoder):
    weights = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    random_state, grad_enabled = torch.get_rng_state(), torch.is_grad_enabled()
    validation = _separable()
    assert validation.accuracy(encoder, "bf16") == validation.accuracy(encoder, "bf16")
    assert torch.equal(torch.get_rng_state(), random_state)
    assert (torch.is_grad_enabled(), encoder.training) == (grad_enabled, True)
    assert all(torch.equal(weight, weights[name]) for name, weight in encoder.state_dict().items())
    assert all(weight.grad is None for weight in encoder.parameters())


def test_the_accuracy_of_weights_that_are_not_finite_is_nan(encoder):
    with torch.no_grad():
        encoder.transformer.norm.weight[0] = torch.nan
    assert math.isnan(_separable().accuracy(encoder, "fp32"))


def test_only_training_and_validation_clips_are_read(store, monkeypatch):
    indices, codes = [], MelStore.codes
    monkeypatch.setattr(MelStore, "codes", lambda self, index: indices.append(index) or codes(self, index))
    validation = _from_store(store)
    assert sorted(indices) == [i for i, split in enumerate(SPLITS) if split != "test"]
    assert validation.name == "genre of made"
    assert validation.train_clips == 6
    assert validation.targets.tolist() == [0, 1] * 6


def test_windows_are_spaced_evenly_and_a_short_clip_is_padded(store):
    validation = _from_store(store)
    indices = [i for split in ("train", "valid") for i, other in enumerate(SPLITS) if other == split]
    for position, index in enumerate(indices):
        codes, windows = store.codes(index), validation.codes[validation.clips == position]
        assert len(windows) == min(3, max(1, LENGTHS[index] // 96))
        np.testing.assert_array_equal(windows[0][:, : codes.shape[1]], codes[:, :96])
        assert not windows[0][:, codes.shape[1] :].any()
        if len(windows) > 1:
            np.testing.assert_array_equal(windows[-1], codes[:, -96:])


def test_the_sample_of_a_large_split_is_always_the_same(store, monkeypatch):
    monkeypatch.setattr(knn_validation, "MAX_CLIPS", {"train": 4, "valid": 2})
    first, second = _from_store(store), _from_store(store)
    assert (first.train_clips, len(first.targets)) == (4, 6)
    np.testing.assert_array_equal(first.codes, second.codes)


def test_rejected_clips_are_skipped(make_store, encoder):
    store = make_store([100, 0, 100, 0, 100, 96], splits=["train", "train", "train", "valid", "valid", "valid"])
    store.update([replace(row, labels={"genre": "ab"[row.index % 4 // 2]}) for row in store.rows])
    assert _from_store(store).targets.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "task", "message"),
    [
        ({}, "genre", r"\{'train': 0, 'valid': 0\} clips with the label 'genre'"),
        ({"key": "C"}, "genre", r"give --check-task one of \['key'\]"),
        ({"genre": "a"}, "genre", "needs two or more classes"),
    ],
)
def test_a_store_without_classes_is_an_error(store, labels, task, message):
    store.update([replace(row, labels=labels) for row in store.rows])
    with pytest.raises(InvalidInput, match=message):
        _from_store(store, task)


@pytest.mark.parametrize("labels", [("rock|slow", "rock"), ("0.25", "-1.5")])
def test_tags_and_numbers_are_errors(store, labels):
    store.update([replace(row, labels={"x": labels[row.index % 2]}) for row in store.rows])
    message = "needs two or more classes and one class per clip; give another --check-task"
    with pytest.raises(InvalidInput, match=message):
        _from_store(store, "x")


def test_names_of_classes_may_be_whole_numbers(store):
    store.update([replace(row, labels={"x": str(row.index % 4)}) for row in store.rows])
    assert len(set(_from_store(store, "x").targets.tolist())) > 1


def test_a_store_of_another_mel_definition_is_an_error(store):
    other = {"mel_spec": replace(MelSpec(), hop_samples=256).to_dict(), "quantizer": {}, "preprocessing": {}}
    with pytest.raises(DigestMismatch):
        _from_store(store, mel=other)
