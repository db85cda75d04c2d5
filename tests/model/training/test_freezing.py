"""Training on: the encoder is frozen for the first steps, and learns at a rate of its own."""

from __future__ import annotations

import contextlib
from typing import get_args

import pytest
import tiny
import torch
from safetensors.torch import load_file

from model.training import checkpoint, initialization
from model.training.batch_prefetch import Prefetch
from model.training.config import LoggingConfig, Optimizer, TrainConfig
from model.training.loop import Run
from stores.errors import InvalidInput
from stores.quantize import Quantizer

LOGGING = LoggingConfig(log_every=1, checkpoint_every=1, keep=99)
FROZEN = 2


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return tiny.write_run(tmp_path_factory.mktemp("start") / "other", tiny.train_config(seed=99))


def _config(start, **changed):
    settings = {"steps": 5, "freeze_encoder_steps": FROZEN, "init": initialization.checkpoint_digest(start)}
    return tiny.train_config(**{**settings, **changed})


def _train(folder, config, start, stop_after=None):
    """Train until the run is finished or, as by a kill, `stop_after` steps are done."""
    folder.mkdir(exist_ok=True)
    run = Run(folder, config, Quantizer(), torch.device("cpu"), start)
    with contextlib.closing(Prefetch(tiny.stream(config), torch.device("cpu"), 96, 0, config.steps)) as stream:
        if stop_after is None:
            run.train(stream, LOGGING)
            return
        with contextlib.suppress(StopIteration):
            run.train(_Stopping(stream, stop_after), LOGGING)


class _Stopping:
    def __init__(self, stream, steps):
        self.stream, self.steps = stream, steps

    def batch(self, step):
        if step == self.steps:
            raise StopIteration
        return self.stream.batch(step)


def _weights(folder, step, prefix):
    tensors = load_file(checkpoint.path_of(folder, step))
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _is_equal(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in get_args(Optimizer)), ("adam", "bf16")])
def test_only_the_head_is_trained_until_the_encoder_joins(tmp_path, start, name, precision):
    config = _config(start, optimizer=name, precision=precision, weight_decay=0.01)
    _train(tmp_path / "run", config, start)
    initial = checkpoint.load(start).tensors
    encoder = {name: tensor for name, tensor in initial.items() if name.startswith("encoder.")}
    for step in range(1, FROZEN + 1):
        assert _is_equal(encoder, _weights(tmp_path / "run", step, "encoder."))
        assert not _is_equal(
            _weights(tmp_path / "run", step, "linear_head."),
            {name: tensor for name, tensor in initial.items() if name.startswith("linear_head.")},
        )
    after = _weights(tmp_path / "run", FROZEN + 1, "encoder.")
    assert not any(torch.equal(encoder[name], after[name]) for name in encoder if encoder[name].ndim > 1)


def test_the_head_gets_the_gradients_that_it_has_without_freezing(tmp_path, start):
    for frozen in (FROZEN, 0):
        config = _config(start, steps=3, freeze_encoder_steps=frozen, optimizer="sgd", learning_rate=0.1)
        _train(tmp_path / str(frozen), config, start)
    first, whole = (_weights(tmp_path / str(frozen), 1, "linear_head.") for frozen in (FROZEN, 0))
    for name in first:
        torch.testing.assert_close(first[name], whole[name], atol=1e-6, rtol=1e-5)


def test_the_moments_of_the_encoder_begin_when_it_is_trained(tmp_path, start):
    config = _config(start, weight_decay=0.0)
    _train(tmp_path / "run", config, start)
    before, after = (_weights(tmp_path / "run", step, "encoder.transformer.layers.0") for step in (FROZEN, FROZEN + 1))
    largest = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert largest == pytest.approx(config.learning_rate, rel=1e-3)  # the first step of Adam, without a bias


@pytest.mark.parametrize(("name", "killed_after"), [("adam", 1), ("adam", 2), ("adam", 3), ("lamb", 2), ("lion", 2)])
def test_a_run_killed_before_or_after_the_thaw_ends_with_the_same_files(tmp_path, start, name, killed_after):
    config = _config(start, optimizer=name, learning_rate_scale="encoder=0.5")
    _train(tmp_path / "whole", config, start)
    _train(tmp_path / "parts", config, start, killed_after)
    _train(tmp_path / "parts", config, start)
    for path in sorted((tmp_path / "whole").glob("*.safetensors")):
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("name", ["adam", "lamb"])
def test_the_encoder_learns_at_a_share_of_the_rate(tmp_path, start, name):
    largest = {}
    for scale in ("encoder=1", "encoder=0.1"):
        config = _config(
            start, steps=1, freeze_encoder_steps=0, optimizer=name, learning_rate_scale=scale, weight_decay=0.0
        )
        _train(tmp_path / scale, config, start)
        initial = checkpoint.load(start).tensors
        for part in ("encoder.transformer.layers.0", "linear_head"):
            after = _weights(tmp_path / scale, 1, part)
            largest[scale, part] = max(float((after[key] - initial[key]).abs().max()) for key in after)
    whole, scaled = (largest[scale, "encoder.transformer.layers.0"] for scale in ("encoder=1", "encoder=0.1"))
    assert scaled == pytest.approx(0.1 * whole, rel=1e-2)
    assert largest["encoder=1", "linear_head"] == largest["encoder=0.1", "linear_head"]


@pytest.mark.parametrize("scale", ["0.1", "head=0.1", "encoder=0", "encoder=nan", "encoder=-1", "encoder=101", ""])
def test_a_factor_that_is_none_is_rejected(scale):
    with pytest.raises(InvalidInput, match=r"--learning-rate-scale must be encoder=FACTOR"):
        tiny.train_config(learning_rate_scale=scale)


def test_equal_factors_are_equal_settings_and_older_runs_keep_their_digest():
    config = tiny.train_config(learning_rate_scale="encoder=0.10")
    assert config == tiny.train_config(learning_rate_scale="encoder=.1")
    older = {k: v for k, v in tiny.train_config().to_dict().items() if k not in ("freeze_encoder_steps", "init")}
    older.pop("learning_rate_scale")
    assert TrainConfig.from_dict(older).digest() == tiny.train_config().digest()
