"""Training of adapters: pairs find each other, two ranks equal one, and every epoch has an order of its own."""

from __future__ import annotations

import collectives
import pytest
import synthetic_pairs
import torch

from model.alignment import training
from model.alignment.align import score_pairs
from model.alignment.alignment import Alignment
from model.alignment.retrieval_scores import DIRECTIONS
from model.alignment.training import train_adapters
from model.objectives.bimodal_config import BIMODAL_PRESETS
from stores.errors import InvalidInput

CPU = torch.device("cpu")


def _alignment(pairs, config):
    trained = train_adapters(pairs, config, CPU)
    return Alignment(
        trained.adapters, config, pairs.audio_provenance, pairs.text_provenance, "", pairs.digests
    ), trained


@pytest.mark.parametrize("name", BIMODAL_PRESETS)
def test_held_out_pairs_find_each_other_after_training(name):
    pairs = synthetic_pairs.pairs(128)
    config = synthetic_pairs.config(name, epochs=12, hidden=16 if name == "mbcl" else 0)
    alignment, trained = _alignment(pairs.of_split("train"), config)
    scores = score_pairs(alignment, pairs.of_split("test"))
    for direction in DIRECTIONS:
        metrics = scores.to_dict()[direction]
        assert metrics["recall@5"][0] > 4 * scores.chance[direction]["recall@5"]
        assert metrics["median rank"][0] <= 6
    assert len(trained.losses) == 12


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    pairs = synthetic_pairs.pairs(32).of_split("train")
    first, again, other = (
        train_adapters(pairs, synthetic_pairs.config(seed=seed, epochs=2), CPU).adapters.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["audio.layers.0.weight"], other["audio.layers.0.weight"])


def _train_on_rank(folder):
    pairs = synthetic_pairs.pairs(32).of_split("train")
    return {
        name: {
            key: value.numpy()
            for key, value in train_adapters(pairs, _of_ranks(name), CPU).adapters.state_dict().items()
        }
        for name in ("mbcl", "fastclip-v2", "fastclip-v3")
    }


def _of_ranks(name):
    return synthetic_pairs.config(name, learning_rate=1e-3, epochs=3)


@pytest.mark.slow
def test_two_ranks_train_the_adapters_of_one(tmp_path):
    expected = _train_on_rank(tmp_path)
    for result in collectives.on_ranks(2, _train_on_rank, tmp_path):
        for name, weights in expected.items():
            for key, value in weights.items():
                assert result[name][key] == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_an_epoch_sees_a_pair_at_most_once_and_all_epochs_see_all_pairs():
    config = synthetic_pairs.config(batch=4, epochs=9)
    batches = list(training.batches(10, config))
    assert [epoch for epoch, _ in batches] == [epoch for epoch in range(9) for _ in range(2)]
    for epoch in range(9):
        seen = torch.cat([rows for number, rows in batches if number == epoch]).tolist()
        assert len(set(seen)) == 8
    assert {row for _, rows in batches for row in rows.tolist()} == set(range(10))
    rates = [training.learning_rate(config, step, 10) for step in range(18)]
    assert rates[0] == config.learning_rate
    assert rates == sorted(rates, reverse=True)


def test_a_batch_of_more_pairs_than_there_are_is_an_error():
    with pytest.raises(InvalidInput, match="--batch must be at most the number of training pairs, 4"):
        train_adapters(synthetic_pairs.pairs(8).of_split("train"), synthetic_pairs.config(), CPU)
