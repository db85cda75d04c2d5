"""Several ranks, joined by gloo, compute what one rank computes with the whole batch, and send few bytes."""

from __future__ import annotations

import functools
import json
import os
import signal

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
from model.training.config import LoggingConfig
from model.training.learner import build_model
from model.training.loop import Run
from stores import locations
from stores.errors import InvalidInput, StoppedBySignal
from stores.lock import lock_file
from stores.quantize import Quantizer

BATCH, STEPS, WIDTH = 8, 3, 16
CONTRASTIVE = [name for name in PRESETS if name != "mae"]
CPU = torch.device("cpu")
LOGGING = LoggingConfig(log_every=1, checkpoint_every=4)


def _config(name, **changed):
    # sgd, because Adam amplifies rounding errors of small gradients; both patch kinds, and a gamma that changes
    objective = tiny.objective_config(name, gamma_decay_epochs=3)
    return tiny.train_config("hybrid", objective=objective, batch=BATCH, optimizer="sgd", **changed)


def _train_steps(config):
    """Return the gradients and the mean loss of every step, and the objective's memory after the last step."""
    model = build_model(config)
    step = tiny.training_step(config, model)
    sgd, stream, gradients, losses = optimizer.build(model, config), tiny.stream(config), [], []
    for number in range(STEPS):
        sgd.zero_grad()
        losses.append(float(ranks.mean(step.backward(stream.batch(number), number).loss)))
        gradients.append({name: weight.grad.numpy().copy() for name, weight in model.named_parameters()})
        sgd.step()
    return gradients, losses, {name: state.numpy() for name, state in step.objective.state_dict().items()}


def _sent_bytes(name):
    """Return the bytes that one rank sends for a loss and its gradient, where each rank has half of the clips."""
    generator = torch.Generator().manual_seed(rank())
    first, second = torch.randn(2, BATCH, WIDTH, generator=generator).requires_grad_().unbind()
    with collectives.SentBytes() as sent:
        if name == "openclip":
            collectives.openclip_loss(first, second, 0.1).backward()
        else:
            loss = objective.build(preset(name), 1, 100)
            loss(first, second, torch.arange(BATCH) + BATCH * rank(), 0, 0).backward()
    return sent.total


def _openclip_gradients():
    """Return the gradients of a weight by OpenCLIP's loss and by ours, each averaged over ranks."""
    weight = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(2, BATCH, 6, generator=torch.Generator().manual_seed(1 + rank()))
    gradients = []
    for loss in (collectives.openclip_loss, objective.mbcl):
        weight.requires_grad_().grad = None
        loss(inputs[0] @ weight, inputs[1] @ weight, 0.1).backward()
        gradients.append(ranks.mean(weight.grad).numpy())
    return gradients


class Killed(Exception):
    """The end of a run, as by a kill."""


class KilledStream:
    """A stream that ends the run before one step."""

    def __init__(self, stream, step):
        self.stream, self.step = stream, step

    def batch(self, step):
        if step == self.step:
            raise Killed
        return self.stream.batch(step)


def _train_until_killed(folder):
    config = _config("isogclr", steps=8)
    with pytest.raises(Killed):
        Run(folder, config, Quantizer(), CPU).train(KilledStream(tiny.stream(config), 5), LOGGING)


class SignaledStream:
    """A stream that sends SIGTERM to the last rank before one step."""

    def __init__(self, stream, step):
        self.stream, self.step = stream, step

    def batch(self, step):
        if step == self.step and rank() == world_size() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.stream.batch(step)


def _stop_by_signal(folder):
    """Return the message with which this rank stops after a signal to another rank, seldom logging anything."""
    config = _config("infonce", steps=8)
    logging = LoggingConfig(log_every=100, checkpoint_every=100)
    with ranks.write_lock_of_main_process(folder):
        holder = json.loads(lock_file(folder).read_text())["pid"] == os.getpid()
        run = Run(folder, config, Quantizer(), CPU)
        with pytest.raises(StoppedBySignal) as stopped:
            run.train(SignaledStream(tiny.stream(config), 3), logging)
    return {"message": str(stopped.value), "files": sorted(p.name for p in folder.glob("c*")), "holds_lock": holder}


def _work(folder, runs):
    """Compute the results of one rank."""
    rows = gather_rows(torch.full((2, 3), float(rank())))
    trained = {name: _train_steps(_config(name)) for name in PRESETS}
    sent = {name: _sent_bytes(name) for name in [*CONTRASTIVE, "openclip"]}
    (runs / str(world_size())).mkdir(exist_ok=True)
    dist.barrier()
    _train_until_killed(runs / str(world_size()))
    result = {"rows": rows.numpy(), "trained": trained, "sent": sent, "openclip": _openclip_gradients()}
    result["highest"] = [ranks.highest(rank(), CPU), ranks.highest(0, CPU)]
    result["from_main_process"] = ranks.from_main_process(lambda: {"rank": rank()}, CPU)
    (runs / f"stopped-{world_size()}").mkdir(exist_ok=True)
    result["stopped"] = _stop_by_signal(runs / f"stopped-{world_size()}")
    result["is_main_process"] = ranks.is_main_process()
    return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of runs that several ranks started."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def results(runs, tmp_path_factory):
    """A function that returns the result of each rank for a number of ranks."""
    return functools.cache(lambda n: collectives.on_ranks(n, _work, tmp_path_factory.mktemp("ranks"), runs))


@functools.cache
def _single_process(name):
    return _train_steps(_config(name))


RANKS = pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.slow)])


def _assert_close(array, expected, rtol, atol):
    torch.testing.assert_close(torch.from_numpy(array), torch.from_numpy(expected), rtol=rtol, atol=atol)


@RANKS
@pytest.mark.parametrize("name", PRESETS)
def test_gradients_losses_and_memory_equal_those_of_one_rank(results, number, name):
    gradients, losses, memory = _single_process(name)
    for rank_gradients, rank_losses, rank_memory in (result["trained"][name] for result in results(number)):
        assert rank_losses == pytest.approx(losses, rel=1e-5)
        for of_rank, expected in zip(rank_gradients, gradients, strict=True):
            for weight, gradient in expected.items():
                _assert_close(of_rank[weight], gradient, rtol=1e-3, atol=1e-5)
        assert rank_memory.keys() == memory.keys()
        for key, expected in memory.items():
            _assert_close(rank_memory[key], expected, rtol=1e-4, atol=1e-5)


@RANKS
@pytest.mark.parametrize("name", ["sogclr", "isogclr", "fastclip-v2", "fastclip-v3"])
def test_the_memory_of_all_ranks_has_the_same_bits(results, number, name):
    memories = [result["trained"][name][2] for result in results(number)]
    assert len(memories[0]["log_u"][0]) == 140
    for memory in memories[1:]:
        assert all(memory[key].tobytes() == memories[0][key].tobytes() for key in memories[0])


@RANKS
def test_the_gradient_of_mbcl_equals_that_of_openclip(results, number):
    for result in results(number):
        openclip, mbcl = (torch.from_numpy(gradient) for gradient in result["openclip"])
        torch.testing.assert_close(mbcl, openclip, rtol=1e-4, atol=1e-6)


# bytes per view besides its features; all other objectives send 16
SCALARS = {"infonce": 4, "dcl": 4, "mbcl": 4, "sogclr": 12, "fastclip-v1": 12}


@RANKS
def test_objectives_send_features_and_a_few_numbers_per_view(results, number):
    features = 2 * BATCH * WIDTH * 4 * (number - 1)
    for result in results(number):
        sent = dict(result["sent"])
        assert sent.pop("openclip") == 2 * features
        scalars = {name: 2 * BATCH * SCALARS.get(name, 16) * (number - 1) for name in CONTRASTIVE}
        assert sent == {name: features + scalar_bytes for name, scalar_bytes in scalars.items()}


@RANKS
def test_rows_are_gathered_in_the_order_of_ranks(results, number):
    for position, result in enumerate(results(number)):
        assert result["rows"][:, 0].tolist() == [float(r) for r in range(number) for _ in range(2)]
        assert result["highest"] == [number - 1, 0]
        assert result["is_main_process"] == (position == 0)


@RANKS
def test_what_the_main_process_computes_reaches_all_ranks(results, number):
    assert [result["from_main_process"] for result in results(number)] == [{"rank": 0}] * number
    assert ranks.from_main_process(lambda: 3, CPU) == 3


@RANKS
def test_a_signal_to_one_rank_saves_once_and_stops_all_ranks_together(results, runs, number):
    path = checkpoint.path_of(runs / f"stopped-{number}", 4)
    for position, result in enumerate(results(number)):
        assert result["stopped"] == {
            "message": f"after step 4 of 8, saved as {path}",
            "files": [path.name],  # when this rank has stopped
            "holds_lock": position == 0,
        }


@RANKS
def test_one_rank_can_resume_a_run_of_several_ranks(results, runs, tmp_path, number):
    results(number)
    config, folder = _config("isogclr", steps=8), runs / str(number)
    saved = checkpoint.load(checkpoint.newest(folder))
    resumed = Run(folder, config, Quantizer(), CPU)
    assert resumed.step == saved.step == 4
    for name, state in resumed.objective.state_dict().items():
        assert torch.equal(state, saved.tensors[f"objective.{name}"])
    whole = Run(tmp_path, config, Quantizer(), CPU)
    for run in (resumed, whole):
        run.train(tiny.stream(config), LOGGING)
    weights, expected = (load_file(each / locations.ENCODER_FILE) for each in (folder, tmp_path))
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-5)
    for name, state in resumed.objective.state_dict().items():
        torch.testing.assert_close(state, whole.objective.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_a_single_process_is_rank_0_of_1():
    rows = torch.rand(3, 2, requires_grad=True)
    assert (rank(), world_size(), ranks.is_single_process(), ranks.is_main_process()) == (0, 1, True, True)
    assert torch.equal(gather_rows(rows), rows)
    assert not gather_rows(rows).requires_grad
    with ranks.process_group(CPU):
        assert not dist.is_initialized()
    assert ranks.local_slice(7) == slice(0, 7)


@pytest.mark.parametrize(("batch", "needed"), [(7, "a multiple of 4"), (4, "at least 8")])
def test_a_batch_that_ranks_cannot_share_is_an_error(monkeypatch, batch, needed):
    monkeypatch.setattr(ranks, "world_size", lambda: 4)
    with pytest.raises(InvalidInput, match=rf"4 ranks cannot share a batch of {batch} clips; --batch .*{needed}"):
        ranks.local_slice(batch)


def test_the_shares_of_the_ranks_are_equal_and_cover_the_batch(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 4)
    clips = []
    for number in range(4):
        monkeypatch.setattr(ranks, "rank", lambda number=number: number)
        clips += list(range(12))[ranks.local_slice(12)]
    assert clips == list(range(12))
