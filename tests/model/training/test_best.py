"""best.safetensors holds the weights with the highest score of one run, also after the run was resumed."""

from __future__ import annotations

import pytest
import tiny
import torch
from safetensors.torch import load_file

from model import load_encoder
from model.training import best, checkpoint
from model.training.best import BestCheckpoint
from model.training.learner import ModelWithHead

CONFIG = tiny.train_config()


@pytest.fixture
def model():
    return ModelWithHead(CONFIG)


def _stored_step(folder):
    return checkpoint.load(folder / best.NAME).step


def test_only_a_higher_score_replaces_the_stored_weights(tmp_path, model):
    stored = BestCheckpoint(tmp_path, CONFIG)
    steps = []
    for step, score in enumerate([0.2, 0.5, 0.5, 0.4, 0.6, 0.1]):
        stored.update(model, step, "neighbours", score)
        steps.append(_stored_step(tmp_path))
    assert steps == [0, 1, 1, 1, 4, 4]


def test_the_file_holds_the_weights_at_the_best_step_and_no_optimizer(tmp_path, model):
    best_weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stored = BestCheckpoint(tmp_path, CONFIG)
    stored.update(model, 5, "loss", -1.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    stored.update(model, 6, "loss", -2.0)
    tensors = load_file(tmp_path / best.NAME)
    assert tensors.keys() == best_weights.keys()
    assert all(torch.equal(tensors[name], best_weights[name]) for name in best_weights)
    assert load_encoder(tmp_path / best.NAME)(torch.zeros(1, 128, 96)).shape == (1, 32)


def test_a_resumed_run_knows_its_best_score(tmp_path, model):
    BestCheckpoint(tmp_path, CONFIG).update(model, 5, "loss", -1.25)
    resumed = BestCheckpoint(tmp_path, CONFIG)
    assert (resumed.criterion, resumed.score) == ("loss", -1.25)
    resumed.update(model, 7, "loss", -1.3)
    assert _stored_step(tmp_path) == 5


def test_a_score_of_a_new_criterion_replaces_the_stored_weights(tmp_path, model):
    BestCheckpoint(tmp_path, CONFIG).update(model, 5, "loss", -1.0)
    BestCheckpoint(tmp_path, CONFIG).update(model, 7, "neighbours: key of demo", -3.0)
    assert _stored_step(tmp_path) == 7


def test_a_run_that_is_extended_knows_its_best_score(tmp_path, model):
    BestCheckpoint(tmp_path, CONFIG).update(model, 5, "loss", -1.25)
    assert BestCheckpoint(tmp_path, tiny.train_config(steps=99)).score == -1.25


def test_files_of_other_runs_and_other_programs_are_ignored(tmp_path, model):
    BestCheckpoint(tmp_path, tiny.train_config(seed=99)).update(model, 5, "loss", 7.0)
    assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
    for content in (b"", b"no checkpoint"):
        (tmp_path / best.NAME).write_bytes(content)
        assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
    tiny.write_run(tmp_path, CONFIG).rename(tmp_path / best.NAME)
    assert BestCheckpoint(tmp_path, CONFIG).score == float("-inf")
