"""best.safetensors holds the highest score so far, over restarts, and of this run only."""

from __future__ import annotations

import pytest
import tiny
import torch
from safetensors.torch import load_file

import model
from model.training import best, checkpoint
from model.training.best import BestCheckpoint
from model.training.learner import ModelWithHead

CONFIG = tiny.train_config()


@pytest.fixture
def learner():
    return ModelWithHead(CONFIG)


def _kept_step(folder):
    return checkpoint.load(folder / best.NAME).step


def test_only_a_higher_score_takes_the_place(tmp_path, learner):
    kept = BestCheckpoint(tmp_path, CONFIG)
    steps = []
    for step, score in enumerate([0.2, 0.5, 0.5, 0.4, 0.6, 0.1]):
        kept.offer(learner, step, "neighbours", score)
        steps.append(_kept_step(tmp_path))
    assert steps == [0, 1, 1, 1, 4, 4]


def test_what_is_kept_are_the_weights_of_then_without_an_optimizer(tmp_path, learner):
    then = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    kept = BestCheckpoint(tmp_path, CONFIG)
    kept.offer(learner, 5, "loss", -1.0)
    with torch.no_grad():
        for weight in learner.parameters():
            weight.add_(1)
    kept.offer(learner, 6, "loss", -2.0)
    tensors = load_file(tmp_path / best.NAME)
    assert tensors.keys() == then.keys()
    assert all(torch.equal(tensors[name], then[name]) for name in then)
    assert model.load_encoder(tmp_path / best.NAME)(torch.zeros(1, 128, 96)).shape == (1, 32)


def test_a_run_that_goes_on_remembers_the_score(tmp_path, learner):
    BestCheckpoint(tmp_path, CONFIG).offer(learner, 5, "loss", -1.25)
    again = BestCheckpoint(tmp_path, CONFIG)
    assert (again.by, again.score) == ("loss", -1.25)
    again.offer(learner, 9, "loss", -1.3)
    assert _kept_step(tmp_path) == 5


def test_scores_of_another_kind_start_over(tmp_path, learner):
    BestCheckpoint(tmp_path, CONFIG).offer(learner, 5, "loss", -1.0)
    BestCheckpoint(tmp_path, CONFIG).offer(learner, 9, "neighbours: key of demo", -3.0)
    assert _kept_step(tmp_path) == 9


def test_the_best_of_other_settings_and_files_of_others_count_for_nothing(tmp_path, learner):
    BestCheckpoint(tmp_path, tiny.train_config(seed=99)).offer(learner, 5, "loss", 7.0)
    assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
    for content in (b"", b"no checkpoint"):
        (tmp_path / best.NAME).write_bytes(content)
        assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
    tiny.write_run(tmp_path, CONFIG).rename(tmp_path / best.NAME)
    assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
