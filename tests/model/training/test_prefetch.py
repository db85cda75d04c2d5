"""Batches made ahead: the same as those made when asked for, errors come through, and nothing is left running."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import tiny
import torch
from safetensors.torch import load_file

from model.training import checkpoint
from model.training.data_location import open_clips
from model.training.loop import LoggingConfig, Run
from model.training.prefetch import BATCHES_PER_THREAD, Prefetch, pack
from model.training.sources import TrainingShards
from model.training.stream import TrainingBatch, WindowStream
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.errors import InvalidInput
from stores.quantize import Quantizer

CPU = torch.device("cpu")
STEPS = 30


class Made:
    """A source of batches that remembers who made which, and fails or waits where it is told to."""

    def __init__(self, fails=(), waits=None):
        self.stream = tiny.stream(tiny.train_config())
        self.fails, self.waits, self.made = fails, waits, []

    def batch(self, step):
        self.made.append((step, threading.current_thread().name))
        if self.waits is not None:
            self.waits.wait(20)
        if step in self.fails:
            raise InvalidInput(f"no batch {step}")
        return self.stream.batch(step)


@pytest.fixture
def prefetch():
    """A function that makes one; what it made is closed."""
    made = []

    def make(batches, workers, steps=STEPS):
        made.append(Prefetch(batches, CPU, 96, workers, steps))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def _assert_same(ours, theirs):
    assert torch.equal(ours.windows(96), theirs.windows(96))
    assert torch.equal(ours.indices, theirs.indices)
    assert ours.epoch == theirs.epoch


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("first", [0, 7])
def test_batches_are_the_same_with_any_number_of_threads_from_any_step_on(prefetch, workers, first):
    source = Made()
    batches = prefetch(source, workers)
    for step in range(first, STEPS):
        _assert_same(batches.batch(step), source.stream.batch(step))
    assert sorted(step for step, _ in source.made) == list(range(first, STEPS))  # none before, none twice, none beyond


def test_batches_are_made_ahead_by_other_threads_and_without_any_in_this_one(prefetch):
    ahead, plain = Made(), Made()
    prefetch(ahead, 2).batch(4)
    assert {name for _, name in ahead.made} <= {"batches_0", "batches_1"}
    prefetch(plain, 0).batch(4)
    assert plain.made == [(4, threading.current_thread().name)]


def test_no_more_than_a_few_batches_wait(prefetch):
    source = Made()
    batches = prefetch(source, 2)
    batches.batch(0)
    while len(source.made) < 1 + 2 * BATCHES_PER_THREAD:
        time.sleep(0.01)
    time.sleep(0.1)
    assert sorted(step for step, _ in source.made) == list(range(1 + 2 * BATCHES_PER_THREAD))


def test_steps_may_be_asked_for_in_any_order(prefetch):
    source = Made()
    batches = prefetch(source, 2)
    for step in (5, 6, 20, 3, 4, 29, 0):
        _assert_same(batches.batch(step), source.stream.batch(step))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_where_its_batch_is_asked_for(prefetch, workers):
    source = Made(fails={3})
    batches = prefetch(source, workers)
    for step in range(3):
        _assert_same(batches.batch(step), source.stream.batch(step))
    with pytest.raises(InvalidInput, match="no batch 3"):
        batches.batch(3)


def test_closing_drops_what_nobody_will_ask_for():
    source = Made(waits=threading.Event())
    batches = Prefetch(source, CPU, 96, 1, STEPS)
    waiting = threading.Thread(target=batches.batch, args=[0])
    waiting.start()
    while not source.made:
        time.sleep(0.01)
    threading.Timer(0.1, source.waits.set).start()
    batches.close()
    waiting.join()
    assert len(source.made) < 1 + BATCHES_PER_THREAD


def test_ctrl_c_breaks_in_while_a_batch_is_waited_for():
    source = Made(waits=threading.Event())
    batches = Prefetch(source, CPU, 96, 2, STEPS)
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            batches.batch(0)
    finally:
        source.waits.set()
        batches.close()


def test_fewer_than_no_threads_are_refused():
    with pytest.raises(InvalidInput, match="-1 workers; give --workers 0 or more"):
        Prefetch(Made(), CPU, 96, -1, STEPS)


def test_a_packed_batch_has_the_same_windows_in_no_more_codes_than_it_needs():
    batch = Made().stream.batch(5)
    alone = pack(batch, 96, pinned=False)
    assert alone.codes.shape == (8 * 96, 128)
    _assert_same(alone, batch)
    assert pack(alone, 96, pinned=False) is alone


def _run(folder, config, batches):
    folder.mkdir(exist_ok=True)
    run = Run(folder, config, Quantizer(), CPU)
    run.train(batches, LoggingConfig(log_every=1, checkpoint_every=100))


class _UntilStep:
    def __init__(self, batches, step):
        self.batches, self.step = batches, step

    def batch(self, step):
        if step == self.step:
            signal.raise_signal(signal.SIGINT)
        return self.batches.batch(step)


@pytest.fixture
def sources(make_store):
    store = make_store(tiny.LENGTHS)
    return TrainingShards((write_shards(store, locations.shards(store.path), ShardPlan(record_frames=400)),))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("resident", ["ram", "none"])
@pytest.mark.parametrize("steps_done", [3, 4, 5])  # three steps are an epoch
def test_a_run_stopped_anywhere_goes_on_bit_for_bit(tmp_path, sources, prefetch, workers, resident, steps_done):
    config = tiny.train_config(max_frame_distance=20)

    def batches(kind, threads):
        stream = WindowStream(open_clips(sources, kind, CPU), config.batch, 96, config.seed, config.max_frame_distance)
        return prefetch(stream, threads, config.steps)

    _run(tmp_path / "whole", config, batches("ram", 0))
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "parts", config, _UntilStep(batches(resident, workers), steps_done - 1))
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", steps_done)
    _run(tmp_path / "parts", config, batches(resident, workers))
    whole, parts = (load_file(tmp_path / name / "checkpoint-00000008.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("resident", ["gpu", "ram", "none"])
def test_batches_on_the_gpu_are_those_on_the_cpu(sources, resident, workers):
    gpu = torch.device("cuda", torch.cuda.current_device())
    plain = WindowStream(open_clips(sources, "ram", CPU), 4, 96, 0)
    ahead = Prefetch(WindowStream(open_clips(sources, resident, gpu), 4, 96, 0), gpu, 96, workers, STEPS)
    try:
        for step in range(STEPS):
            batch = ahead.batch(step)
            assert batch.codes.device == batch.starts.device == gpu
            moved = TrainingBatch(batch.codes.cpu(), batch.starts.cpu(), batch.indices, batch.epoch)
            _assert_same(moved, plain.batch(step))
    finally:
        ahead.close()
