"""The CUDA graph: the third call captures it, later calls replay it, and without a capture calls run as they are.

Without a GPU, a fake CUDA records calls and repeats them. With a GPU, a captured run is compared with the same run
without a graph.
"""

from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace

import pytest
import tiny
import torch
import view_pairs

from model.training import graph, learner, optimizer
from model.training.graph import CudaGraph
from model.training.stream import TrainingBatch
from stores.errors import InvalidInput


class FakeGraph:
    """A captured graph of the fake CUDA, which calls a function on replay."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.play()


@pytest.fixture
def cuda(monkeypatch):
    """A fake CUDA that captures `cuda.operation`; a capture fails if `cuda.broken` is true."""
    fake = SimpleNamespace(broken=False, operation=None, given_back=[])

    @contextlib.contextmanager
    def capture(graph, pool, capture_error_mode):
        if fake.broken:
            raise RuntimeError("operation not permitted when stream is capturing")
        graph.play = fake.operation
        yield

    stream = SimpleNamespace(wait_stream=lambda other: None)
    replacements = {"Stream": lambda: stream, "current_stream": lambda: stream, "CUDAGraph": FakeGraph}
    replacements |= {"graph": capture, "stream": lambda stream: contextlib.nullcontext()}
    replacements |= {"graph_pool_handle": lambda: (0, 7), "current_device": lambda: 1}
    monkeypatch.setattr(graph.torch, "cuda", SimpleNamespace(**replacements))

    def end(device, pool):
        fake.given_back.append(("end", device, pool))
        raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    monkeypatch.setattr(graph.torch._C, "_cuda_endAllocateToPool", end, raising=False)
    monkeypatch.setattr(
        graph.torch._C, "_cuda_releasePool", lambda *pool: fake.given_back.append(("release", *pool)), raising=False
    )
    return fake


def _doubling(cuda):
    """Return a graph that doubles its input into one buffer, and the list of the function's own calls."""
    out, calls, captured = torch.zeros(3), [], {}

    def double(value):
        calls.append(1)
        captured["input"] = value
        cuda.operation = lambda: out.copy_(2 * captured["input"])
        return out.copy_(2 * value)

    return CudaGraph(double), calls


def test_the_third_call_captures_and_later_ones_replay(cuda):
    doubled, calls = _doubling(cuda)
    for number in range(6):
        assert doubled.captured == (number > 2)
        assert doubled(torch.full((3,), float(number))).tolist() == 3 * [2.0 * number]
    assert len(calls) == 3


def test_a_step_that_cannot_be_captured_runs_and_warns_once(cuda):
    doubled, calls = _doubling(cuda)
    cuda.broken = True
    with pytest.warns(UserWarning, match="captured as a CUDA graph and runs more slowly: operation not") as warned:
        results = [doubled(torch.full((3,), float(number))).tolist() for number in range(6)]
    assert results == [3 * [2.0 * number] for number in range(6)]
    assert len(warned) == 1
    assert len(calls) == 6
    assert not doubled.captured
    assert cuda.given_back == [("end", 1, (0, 7)), ("release", 1, (0, 7))]


def test_an_input_of_another_shape_is_an_error(cuda):
    doubled, _ = _doubling(cuda)
    for number in range(3):
        doubled(torch.full((3,), float(number)))
    with pytest.raises(InvalidInput, match=r"an input of shape \[3\] \(got \[1\]\); keep the batch size fixed"):
        doubled(torch.zeros(1))


def _train(config, batches, captures):
    """Return the losses, the weights and the objective's memory after a step on each batch."""
    torch.manual_seed(0)
    model = learner.build_model(config).to(view_pairs.DEVICE)
    step = tiny.training_step(config, model)
    step.objective.to(view_pairs.DEVICE)
    if not captures:
        step._graph = None
    updates, losses = optimizer.build(model, config), []
    for number, batch in enumerate(batches):
        losses.append(step.backward(batch, number).loss.clone())
        updates.step()
    assert step.captured == captures
    return [torch.stack(losses), *model.parameters(), *step.objective.state_dict().values()]


@view_pairs.ON_A_GPU
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["infonce", "isogclr", "fastclip-v3", "mae"])
def test_a_captured_run_equals_the_run_without_a_graph(name, precision, resident):
    config = tiny.train_config("hybrid", objective=tiny.objective_config(name), precision=precision)
    batches = [tiny.batch(seed=seed) for seed in (0, 1, 2, 3, 1, 2, 0)]  # some batches occur twice
    if resident:
        codes = torch.cat([batch.codes for batch in batches]).to(view_pairs.DEVICE)
        firsts = [sum(len(batch.codes) for batch in batches[:number]) for number in range(len(batches))]
        batches = [
            TrainingBatch(codes, (batch.starts + first).to(view_pairs.DEVICE), batch.indices)
            for batch, first in zip(batches, firsts, strict=True)
        ]
    captured, plain = _train(config, batches, captures=True), _train(config, batches, captures=False)
    for tensor, expected in zip(captured, plain, strict=True):
        torch.testing.assert_close(tensor, expected, atol=1e-4, rtol=1e-3)


@view_pairs.ON_A_GPU
def test_memory_does_not_grow_after_a_failed_capture():
    def function(value):
        if torch.cuda.is_current_stream_capturing():
            return value.sum().item()
        return value * 2

    step, side = CudaGraph(function), torch.cuda.Stream()
    reserved = []
    for _ in range(40):
        value = torch.ones(1 << 22, device="cuda")
        value.record_stream(side)  # blocks like this are what a capture that seems to go on keeps from reuse
        with warnings.catch_warnings(action="ignore"):
            assert step(value).sum() == 2 << 22
        del value
        torch.cuda.synchronize()
        reserved.append(torch.cuda.memory_reserved())
    assert not step.captured
    assert reserved[-1] == reserved[10]
