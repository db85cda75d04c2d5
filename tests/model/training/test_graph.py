"""A captured step: the third call captures, later ones replay, and what cannot be captured runs as it is.

Without a GPU a stand-in for CUDA notes calls down and plays them again; with one the real graph is held against
the step launch by launch.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import tiny
import torch
import view_pairs

from model.training import graph, learner, optimizer
from model.training.graph import CudaGraph
from model.training.stream import TrainingBatch
from stores.errors import InvalidInput


class Recorded:
    """What a capture leaves here: the function, to be called on replay."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.play()


@pytest.fixture
def cuda(monkeypatch):
    """A CUDA that captures `doubled`; `cuda.broken` makes a capture fail."""
    made = SimpleNamespace(broken=False, playing=None)

    @contextlib.contextmanager
    def capturing(graph, capture_error_mode):
        if made.broken:
            raise RuntimeError("operation not permitted when stream is capturing")
        graph.play = made.playing
        yield

    stream = SimpleNamespace(wait_stream=lambda other: None)
    fakes = {"Stream": lambda: stream, "current_stream": lambda: stream, "CUDAGraph": Recorded, "graph": capturing}
    fakes["stream"] = lambda stream: contextlib.nullcontext()
    monkeypatch.setattr(graph.torch, "cuda", SimpleNamespace(**fakes))
    return made


def _doubling(cuda):
    """A graph that doubles its input into one buffer, and how often the function itself was called."""
    out, calls, seen = torch.zeros(3), [], {}

    def double(value):
        calls.append(1)
        seen["input"] = value
        cuda.playing = lambda: out.copy_(2 * seen["input"])
        return out.copy_(2 * value)

    return CudaGraph(double), calls


def test_the_third_call_captures_and_later_ones_replay(cuda):
    doubled, calls = _doubling(cuda)
    for number in range(6):
        assert doubled.captured == (number > 2)
        assert doubled(torch.full((3,), float(number))).tolist() == 3 * [2.0 * number]
    assert len(calls) == 3


def test_a_step_that_cannot_be_captured_runs_as_it_is_and_says_so_once(cuda):
    doubled, calls = _doubling(cuda)
    cuda.broken = True
    with pytest.warns(UserWarning, match="cannot be captured as a CUDA graph, and runs slower: operation not") as said:
        results = [doubled(torch.full((3,), float(number))).tolist() for number in range(6)]
    assert results == [3 * [2.0 * number] for number in range(6)]
    assert len(said) == 1
    assert len(calls) == 6
    assert not doubled.captured


def test_another_shape_than_the_captured_one_is_refused(cuda):
    doubled, _ = _doubling(cuda)
    for number in range(3):
        doubled(torch.full((3,), float(number)))
    with pytest.raises(InvalidInput, match=r"captured step was made for \[3\], not \[1\]: keep the batch fixed"):
        doubled(torch.zeros(1))


def _trained(config, batches, captures):
    """Losses, weights and what is remembered after a step on each batch."""
    torch.manual_seed(0)
    trained = learner.build_model(config).to(view_pairs.DEVICE)
    step = tiny.training_step(config, trained)
    step.objective.to(view_pairs.DEVICE)
    if not captures:
        step._graph = None
    moves, losses = optimizer.build(trained, config), []
    for number, batch in enumerate(batches):
        losses.append(step.backward(batch, number).loss.clone())
        moves.step()
    assert step.captured == captures
    return [torch.stack(losses), *trained.parameters(), *step.objective.state_dict().values()]


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["infonce", "isogclr", "fastclip-v3", "mae"])
def test_a_captured_run_is_the_run_launch_by_launch(name, precision, resident):
    config = tiny.train_config("hybrid", objective=tiny.objective_config(name), precision=precision)
    made = [tiny.batch(seed=seed) for seed in (0, 1, 2, 3, 1, 2, 0)]  # some come twice
    if resident:
        codes = torch.cat([one.codes for one in made]).to(view_pairs.DEVICE)
        firsts = [sum(len(one.codes) for one in made[:number]) for number in range(len(made))]
        made = [
            TrainingBatch(codes, (one.starts + first).to(view_pairs.DEVICE), one.indices)
            for one, first in zip(made, firsts, strict=True)
        ]
    for ours, plain in zip(_trained(config, made, True), _trained(config, made, False), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-3)
