"""Ranks that train together, as processes joined by gloo: they are one rank with the whole batch, and send little."""

from __future__ import annotations

import functools

import collectives
import pytest
import tiny
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from model.objectives import objective
from model.objectives.config import PRESETS, preset
from model.objectives.gather import gather_rows, rank, world_size
from model.training import checkpoint, optimizer, ranks
from model.training.loop import LoggingConfig, Run
from stores import locations
from stores.errors import InvalidInput
from stores.quantize import Quantizer

BATCH, STEPS, WIDTH = 8, 3, 16
CONTRASTIVE = [name for name in PRESETS if name != "mae"]
CPU = torch.device("cpu")


def _config(name, **changed):
    # sgd: Adam makes much of rounding where a gradient is small; both patch kinds, and a gamma that moves
    objective = tiny.objective_config(name, gamma_decay_epochs=3)
    return tiny.train_config("hybrid", objective=objective, batch=BATCH, optimizer="sgd", **changed)


def _steps(config):
    """Gradients of every step, mean loss of each, and what is remembered after the last."""
    step = tiny.training_step(config)
    learner = step._learner
    sgd, stream, gradients, losses = optimizer.build(learner, config), tiny.stream(config), [], []
    for number in range(STEPS):
        sgd.zero_grad()
        losses.append(float(ranks.mean(step.backward(stream.batch(number), number).loss)))
        gradients.append({name: weight.grad.numpy().copy() for name, weight in learner.named_parameters()})
        sgd.step()
    return gradients, losses, {name: state.numpy() for name, state in step.objective.state_dict().items()}


def _sent(name):
    """Bytes that one rank sends for one loss and its gradient, each rank with half of a batch's clips."""
    generator = torch.Generator().manual_seed(rank())
    first, second = torch.randn(2, BATCH, WIDTH, generator=generator).requires_grad_().unbind()
    with collectives.SentBytes() as sent:
        if name == "openclip":
            collectives.openclip_loss(first, second, 0.1).backward()
        else:
            made = objective.build(preset(name), 1, 100)
            made(first, second, torch.arange(BATCH) + BATCH * rank(), 0, 0).backward()
    return sent.total


def _openclip_gradient():
    """Gradients of a weight by OpenCLIP's loss and ours, each averaged over ranks."""
    weight = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(0))
    data = torch.randn(2, BATCH, 6, generator=torch.Generator().manual_seed(1 + rank()))
    found = []
    for loss in (collectives.openclip_loss, objective.mbcl):
        weight.requires_grad_().grad = None
        loss(data[0] @ weight, data[1] @ weight, 0.1).backward()
        found.append(ranks.mean(weight.grad).numpy())
    return found


class _Killed(Exception):
    pass


class _UntilStep:
    """A stream that breaks off, as a kill would."""

    def __init__(self, stream, step):
        self.stream, self.step, self.order = stream, step, stream.order

    def batch(self, step):
        if step == self.step:
            raise _Killed
        return self.stream.batch(step)


def _part_of_a_run(folder):
    config = _config("isogclr", steps=8)
    with pytest.raises(_Killed):
        Run(folder, config, Quantizer(), CPU).train(_UntilStep(tiny.stream(config), 5), LoggingConfig(1, 4))


def _work(folder, kept):
    rows = gather_rows(torch.full((2, 3), float(rank())))
    trained = {name: _steps(_config(name)) for name in PRESETS}
    sent = {name: _sent(name) for name in [*CONTRASTIVE, "openclip"]}
    (kept / str(world_size())).mkdir(exist_ok=True)
    dist.barrier()
    _part_of_a_run(kept / str(world_size()))
    told = {"rows": rows.numpy(), "trained": trained, "sent": sent, "openclip": _openclip_gradient()}
    told["flags"] = [ranks.any_rank(rank() == 1, CPU), ranks.any_rank(False, CPU)]
    told["writes"] = ranks.is_main_process()
    return told


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def told(kept, tmp_path_factory):
    """What the ranks of each number of them tell."""
    return functools.cache(lambda n: collectives.on_ranks(n, _work, tmp_path_factory.mktemp("ranks"), kept))


@functools.cache
def _alone(name):
    return _steps(_config(name))


RANKS = pytest.mark.parametrize("number", [2, 4])


@RANKS
@pytest.mark.parametrize("name", PRESETS)
def test_ranks_with_parts_of_a_batch_give_the_gradients_and_the_state_of_one_with_all_of_it(told, number, name):
    gradients, losses, state = _alone(name)
    for found_gradients, found_losses, found_state in (one["trained"][name] for one in told(number)):
        assert found_losses == pytest.approx(losses, rel=1e-5)
        for found, expected in zip(found_gradients, gradients, strict=True):
            for weight, gradient in expected.items():
                torch.testing.assert_close(
                    *(torch.from_numpy(one) for one in (found[weight], gradient)), rtol=1e-3, atol=1e-5
                )
        assert found_state.keys() == state.keys()
        for key, expected in state.items():
            torch.testing.assert_close(
                *(torch.from_numpy(one) for one in (found_state[key], expected)), rtol=1e-4, atol=1e-5
            )


@RANKS
@pytest.mark.parametrize("name", ["sogclr", "isogclr", "fastclip-v3"])
def test_all_ranks_remember_the_same_bits(told, number, name):
    states = [one["trained"][name][2] for one in told(number)]
    assert len(states[0]["log_u"][0]) == 140
    for other in states[1:]:
        assert all(other[key].tobytes() == states[0][key].tobytes() for key in states[0])


@RANKS
def test_ours_is_openclips_gradient_without_sending_one(told, number):
    for one in told(number):
        theirs, ours = (torch.from_numpy(found) for found in one["openclip"])
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


SCALARS = {"infonce": 4, "mbcl": 4, "sogclr": 12, "fastclip-v1": 12}  # bytes a view, besides its features; others 16


@RANKS
def test_each_objective_sends_what_the_formula_says_and_openclip_twice_its_features(told, number):
    features = 2 * BATCH * WIDTH * 4 * (number - 1)
    for one in told(number):
        assert one["sent"].pop("openclip", 2 * features) == 2 * features
        scalars = {name: 2 * BATCH * SCALARS.get(name, 16) * (number - 1) for name in CONTRASTIVE}
        assert one["sent"] == {name: features + more for name, more in scalars.items()}


@RANKS
def test_rows_are_gathered_in_the_order_of_ranks_and_one_of_them_writes(told, number):
    for place, one in enumerate(told(number)):
        assert one["rows"][:, 0].tolist() == [float(r) for r in range(number) for _ in range(2)]
        assert one["flags"] == [True, False]
        assert one["writes"] == (place == 0)


@RANKS
def test_a_run_goes_on_with_one_rank_where_several_left_it(told, kept, tmp_path, number):
    told(number)
    config, folder = _config("isogclr", steps=8), kept / str(number)
    saved = checkpoint.load(checkpoint.newest(folder))
    resumed = Run(folder, config, Quantizer(), CPU)
    assert resumed.step == saved.step == 4
    for name, state in resumed.objective.state_dict().items():
        assert torch.equal(state, saved.tensors[f"objective.{name}"])
    whole = Run(tmp_path, config, Quantizer(), CPU)
    for run in (resumed, whole):
        run.train(tiny.stream(config), LoggingConfig(1, 4))
    ours, theirs = (load_file(one / locations.ENCODER_FILE) for one in (folder, tmp_path))
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)
    for name, state in resumed.objective.state_dict().items():
        torch.testing.assert_close(state, whole.objective.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_a_process_alone_is_rank_0_of_1_and_gathers_what_it_has():
    rows = torch.rand(3, 2, requires_grad=True)
    assert (rank(), world_size(), ranks.is_single_process(), ranks.is_main_process()) == (0, 1, True, True)
    assert torch.equal(gather_rows(rows), rows)
    assert not gather_rows(rows).requires_grad
    with ranks.process_group(CPU):
        assert not dist.is_initialized()
    assert ranks.local_slice(7) == slice(0, 7)


@pytest.mark.parametrize(("batch", "needed"), [(7, "a multiple of 4"), (4, "at least 8")])
def test_a_batch_that_ranks_cannot_share_is_refused(monkeypatch, batch, needed):
    monkeypatch.setattr(ranks, "world_size", lambda: 4)
    with pytest.raises(InvalidInput, match=rf"a batch of {batch} clips for 4 ranks; make --batch .*{needed}"):
        ranks.local_slice(batch)


def test_parts_are_of_equal_size_and_make_up_the_batch(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 4)
    found = []
    for number in range(4):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        found += list(range(12))[ranks.local_slice(12)]
    assert found == list(range(12))
