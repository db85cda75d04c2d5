"""The online check: neighbours vote as a loop over clips says; test clips and the run itself are left alone."""

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
    made = make_store(LENGTHS, splits=SPLITS)
    made.update([replace(row, labels={"genre": label}) for row, label in zip(made.rows, LABELS, strict=True)])
    return made


def _of(store, task="genre", mel=None):
    return KnnValidation.from_store(store, task, 96, mel or {})


def _coloured(clips=40, train_clips=30, classes=4):
    """Clips of one window each, whose class is the band of mel bins that sounds, but for noise."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, clips)
    codes = rng.integers(0, 40, (clips, 128, 96)).astype(np.uint8)
    for window, target in zip(codes, targets, strict=True):
        window[32 * target : 32 * target + 32] += 150
    return KnnValidation("band of made", codes, np.arange(clips), targets, train_clips, Quantizer())


def _vote_of_loops(known, labels, asked):
    winners = []
    for one in asked:
        near = sorted(((float(one @ other), int(label)) for other, label in zip(known, labels, strict=True)))[-10:]
        counts = {}
        for cosine, label in near:
            counts[label] = counts.get(label, 0.0) + math.exp(cosine / 0.07)
        winners.append(max(sorted(counts), key=counts.get))
    return winners


@pytest.mark.parametrize("known", [1, 7, 10, 60])
def test_votes_are_those_of_a_loop_over_clips(known):
    rng = np.random.default_rng(known)
    points = rng.normal(size=(known + 40, 6))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = rng.integers(0, 5, known)
    found = vote(*map(torch.from_numpy, (points[:known], labels, points[known:])))
    assert found.tolist() == _vote_of_loops(points[:known], labels, points[known:])


def test_clips_that_sound_alike_are_found_whatever_the_weights_and_guessing_is_worse(encoder):
    check = _coloured()
    assert check.accuracy(encoder, "fp32") == 1.0
    most = np.bincount(check.targets[:30]).argmax()
    assert check.majority == (check.targets[30:] == most).mean() < 0.6


def test_labels_that_mean_nothing_are_not_found(encoder):
    check = _coloured(clips=400, train_clips=200)
    shuffled = replace(check, targets=np.random.default_rng(1).permutation(check.targets))
    assert 0.1 < shuffled.accuracy(encoder, "fp32") < 0.4


def test_a_clip_is_the_mean_of_its_windows(encoder):
    check = _coloured(clips=20, train_clips=10)
    clips = np.repeat(np.arange(10), 2)
    paired = replace(check, clips=clips, targets=check.targets[:10], train_clips=5)
    mels = torch.from_numpy(check.quantizer.decode(check.codes))
    with torch.no_grad():
        expected = encoder(mels).view(10, 2, -1).mean(dim=1)
    torch.testing.assert_close(paired._embed(encoder, "fp32"), expected)


def test_batches_do_not_matter(encoder, monkeypatch):
    check = _coloured()
    whole = check._embed(encoder, "fp32")
    monkeypatch.setattr(knn_validation, "BATCH_WINDOWS", 7)
    torch.testing.assert_close(check._embed(encoder, "fp32"), whole)


def test_it_moves_nothing_of_the_run(encoder):
    before = {name: one.clone() for name, one in encoder.state_dict().items()}
    state, grad = torch.get_rng_state(), torch.is_grad_enabled()
    check = _coloured()
    assert check.accuracy(encoder, "bf16") == check.accuracy(encoder, "bf16")
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.is_grad_enabled(), encoder.training) == (grad, True)
    assert all(torch.equal(one, before[name]) for name, one in encoder.state_dict().items())
    assert all(weight.grad is None for weight in encoder.parameters())


def test_weights_that_are_no_numbers_have_no_accuracy(encoder):
    with torch.no_grad():
        encoder.transformer.norm.weight[0] = torch.nan
    assert math.isnan(_coloured().accuracy(encoder, "fp32"))


def test_only_train_and_valid_clips_are_read(store, monkeypatch):
    read = []
    real = MelStore.codes
    monkeypatch.setattr(MelStore, "codes", lambda self, index: read.append(index) or real(self, index))
    check = _of(store)
    assert sorted(read) == [i for i, split in enumerate(SPLITS) if split != "test"]
    assert check.name == "genre of made"
    assert check.train_clips == 6
    assert check.targets.tolist() == [0, 1] * 6


def test_windows_lie_evenly_over_a_clip_and_a_short_one_is_filled_up(store):
    check = _of(store)
    read = [i for split in ("train", "valid") for i, other in enumerate(SPLITS) if other == split]
    for place, index in enumerate(read):
        codes, windows = store.codes(index), check.codes[check.clips == place]
        assert len(windows) == min(3, max(1, LENGTHS[index] // 96))
        np.testing.assert_array_equal(windows[0][:, : codes.shape[1]], codes[:, :96])
        assert not windows[0][:, codes.shape[1] :].any()
        if len(windows) > 1:
            np.testing.assert_array_equal(windows[-1], codes[:, -96:])


def test_of_many_clips_some_are_drawn_the_same_each_time(store, monkeypatch):
    monkeypatch.setattr(knn_validation, "MAX_CLIPS", {"train": 4, "valid": 2})
    one, other = _of(store), _of(store)
    assert (one.train_clips, len(one.targets)) == (4, 6)
    np.testing.assert_array_equal(one.codes, other.codes)


def test_refused_clips_are_passed_over(make_store, encoder):
    made = make_store([100, 0, 100, 0, 100, 96], splits=["train", "train", "train", "valid", "valid", "valid"])
    made.update([replace(row, labels={"genre": "ab"[row.index % 4 // 2]}) for row in made.rows])
    assert _of(made).targets.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "task", "told"),
    [
        ({}, "genre", r"\{'train': 0, 'valid': 0\} clips with the label 'genre'"),
        ({"key": "C"}, "genre", r"give --check-task one of \['key'\]"),
        ({"genre": "a"}, "genre", "needs two or more classes"),
    ],
)
def test_a_store_without_such_classes_is_refused(store, labels, task, told):
    store.update([replace(row, labels=labels) for row in store.rows])
    with pytest.raises(InvalidInput, match=told):
        _of(store, task)


@pytest.mark.parametrize(("one", "other"), [("rock|slow", "rock"), ("0.25", "-1.5")])
def test_tags_and_numbers_are_refused(store, one, other):
    store.update([replace(row, labels={"x": (one, other)[row.index % 2]}) for row in store.rows])
    with pytest.raises(InvalidInput, match="needs two or more classes, one a clip: give another --check-task"):
        _of(store, "x")


def test_classes_may_be_numbered(store):
    store.update([replace(row, labels={"x": str(row.index % 4)}) for row in store.rows])
    assert len(set(_of(store, "x").targets.tolist())) > 1


def test_mel_of_another_definition_is_refused(store):
    other = {"mel_spec": replace(MelSpec(), hop_samples=256).to_dict(), "quantizer": {}, "preprocessing": {}}
    with pytest.raises(DigestMismatch):
        _of(store, mel=other)
