"""An interrupted alignment goes on from its checkpoint, to the same bits, and only with the same settings and pairs."""

from __future__ import annotations

import pytest
import synthetic_pairs
import torch

from model.alignment import checkpoint, training
from model.alignment.training import train_adapters
from stores.errors import CorruptArtifact, InvalidInput

CPU = torch.device("cpu")


class Interrupted(Exception):
    """The signal that ends a training."""


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Return a function that trains with a checkpoint after every step, and ends before a step."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    original = training.learning_rate

    def run(pairs, config, end_before=None):
        def rate(settings, step, count):
            if step == end_before:
                raise Interrupted
            return original(settings, step, count)

        monkeypatch.setattr(training, "learning_rate", rate)
        return train_adapters(pairs, config, CPU, tmp_path / checkpoint.FILE)

    return run


@pytest.mark.parametrize("name", ["infonce", "mbcl", "isogclr", "fastclip-v2", "fastclip-v3"])
@pytest.mark.parametrize("hidden", [0, 5])
def test_a_resumed_training_gives_the_same_bits(train, name, hidden):
    pairs, config = synthetic_pairs.pairs(70).of_split("train"), synthetic_pairs.config(name, epochs=3, hidden=hidden)
    expected = train_adapters(pairs, config, CPU)
    for step in (1, 6):
        with pytest.raises(Interrupted):
            train(pairs, config, end_before=step)
    resumed = train(pairs, config)
    weights, others = expected.adapters.state_dict(), resumed.adapters.state_dict()
    assert all(torch.equal(weights[key], others[key]) for key in weights)
    assert (resumed.losses, resumed.temperature) == (expected.losses, expected.temperature)


def test_steps_before_the_checkpoint_are_not_repeated(train, monkeypatch):
    pairs, config = synthetic_pairs.pairs(70).of_split("train"), synthetic_pairs.config(epochs=3)
    with pytest.raises(Interrupted):
        train(pairs, config, end_before=6)
    steps = []
    monkeypatch.setattr(checkpoint, "save", lambda path, state, step, *rest: steps.append(step))
    train(pairs, config)
    assert steps == list(range(7, 3 * (35 // config.batch) + 1))


def test_a_checkpoint_of_other_settings_or_pairs_is_an_error(train):
    pairs, config = synthetic_pairs.pairs(70).of_split("train"), synthetic_pairs.config(epochs=3)
    with pytest.raises(Interrupted):
        train(pairs, config, end_before=2)
    with pytest.raises(
        InvalidInput, match=r"other learning_rate \(learning_rate: 0.01, now 0.5\); choose another --name"
    ):
        train(pairs, synthetic_pairs.config(epochs=3, learning_rate=0.5))
    with pytest.raises(InvalidInput, match=r"other audio .*; choose another --name"):
        train(synthetic_pairs.pairs(70, seed=1).of_split("train"), config)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_checkpoint_is_one_error(train, tmp_path, share):
    pairs, config = synthetic_pairs.pairs(70).of_split("train"), synthetic_pairs.config(epochs=3)
    with pytest.raises(Interrupted):
        train(pairs, config, end_before=2)
    path = tmp_path / checkpoint.FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptArtifact, match="delete it to train from the start"):
        train(pairs, config)
