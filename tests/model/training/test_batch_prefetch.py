"""Background prefetch: batches equal those of the stream, errors are passed on, and no thread is left running."""

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
from model.training.batch_prefetch import BATCHES_PER_THREAD, Prefetch, pack
from model.training.config import LoggingConfig
from model.training.data_location import open_clips
from model.training.loop import Run
from model.training.sources import TrainingShards
from model.training.stream import TrainingBatch, WindowStream
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.errors import InvalidInput
from stores.quantize import Quantizer

CPU = torch.device("cpu")
STEPS = 30


class RecordingSource:
    """A source of batches that records each request with its thread, and can fail or wait."""

    def __init__(self, failing_steps=(), release=None):
        self.stream = tiny.stream(tiny.train_config())
        self.failing_steps, self.release, self.requests = failing_steps, release, []

    def batch(self, step):
        self.requests.append((step, threading.current_thread().name))
        if self.release is not None:
            self.release.wait(20)
        if step in self.failing_steps:
            raise InvalidInput(f"no batch {step}")
        return self.stream.batch(step)


@pytest.fixture
def prefetch():
    """A function that creates a prefetch, which is closed after the test."""
    created = []

    def create(batches, workers, steps=STEPS):
        created.append(Prefetch(batches, CPU, 96, workers, steps))
        return created[-1]

    yield create
    for each in created:
        each.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def _assert_same(batch, expected):
    assert torch.equal(batch.windows(96), expected.windows(96))
    assert torch.equal(batch.indices, expected.indices)
    assert batch.epoch == expected.epoch


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("first", [0, 7])
def test_batches_do_not_depend_on_the_number_of_threads(prefetch, workers, first):
    source = RecordingSource()
    batches = prefetch(source, workers)
    for step in range(first, STEPS):
        _assert_same(batches.batch(step), source.stream.batch(step))
    requested = sorted(step for step, _ in source.requests)
    assert requested == list(range(first, STEPS))  # no earlier step, no step twice, no step after the last


def test_threads_prepare_batches_and_without_threads_the_caller_does(prefetch):
    threaded, plain = RecordingSource(), RecordingSource()
    prefetch(threaded, 2).batch(4)
    assert {name for _, name in threaded.requests} <= {"batches_0", "batches_1"}
    prefetch(plain, 0).batch(4)
    assert plain.requests == [(4, threading.current_thread().name)]


def test_a_limited_number_of_batches_is_prepared_in_advance(prefetch):
    source = RecordingSource()
    batches = prefetch(source, 2)
    batches.batch(0)
    while len(source.requests) < 1 + 2 * BATCHES_PER_THREAD:
        time.sleep(0.01)
    time.sleep(0.1)
    assert sorted(step for step, _ in source.requests) == list(range(1 + 2 * BATCHES_PER_THREAD))


def test_steps_may_be_requested_in_any_order(prefetch):
    source = RecordingSource()
    batches = prefetch(source, 2)
    for step in (5, 6, 20, 3, 4, 29, 0):
        _assert_same(batches.batch(step), source.stream.batch(step))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_when_its_batch_is_requested(prefetch, workers):
    source = RecordingSource(failing_steps={3})
    batches = prefetch(source, workers)
    for step in range(3):
        _assert_same(batches.batch(step), source.stream.batch(step))
    with pytest.raises(InvalidInput, match="no batch 3"):
        batches.batch(3)


def test_closing_cancels_batches_that_have_not_started():
    source = RecordingSource(release=threading.Event())
    batches = Prefetch(source, CPU, 96, 1, STEPS)
    caller = threading.Thread(target=batches.batch, args=[0])
    caller.start()
    while not source.requests:
        time.sleep(0.01)
    threading.Timer(0.1, source.release.set).start()
    batches.close()
    caller.join()
    assert len(source.requests) < 1 + BATCHES_PER_THREAD


def test_ctrl_c_interrupts_the_wait_for_a_batch():
    source = RecordingSource(release=threading.Event())
    batches = Prefetch(source, CPU, 96, 2, STEPS)
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            batches.batch(0)
    finally:
        source.release.set()
        batches.close()


def test_a_negative_number_of_threads_is_an_error():
    with pytest.raises(InvalidInput, match=r"--workers must be at least 0 \(got -1\)"):
        Prefetch(RecordingSource(), CPU, 96, -1, STEPS)


def test_a_packed_batch_has_the_same_windows_and_no_other_codes():
    batch = RecordingSource().stream.batch(5)
    packed = pack(batch, 96, pinned=False)
    assert packed.codes.shape == (8 * 96, 128)
    _assert_same(packed, batch)
    assert pack(packed, 96, pinned=False) is packed


def _run(folder, config, batches):
    folder.mkdir(exist_ok=True)
    run = Run(folder, config, Quantizer(), CPU)
    run.train(batches, LoggingConfig(log_every=1, checkpoint_every=100))


class InterruptedStream:
    """A stream in which Ctrl-C is pressed before one step."""

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


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("location", ["ram", "none"])
@pytest.mark.parametrize("steps_done", [3, 4, 5])  # three steps are an epoch
def test_a_run_that_is_stopped_and_resumed_equals_an_uninterrupted_run(
    tmp_path, sources, prefetch, workers, location, steps_done
):
    config = tiny.train_config(max_frame_distance=20)

    def batches(location, threads):
        clips = open_clips(sources, location, CPU)
        stream = WindowStream(clips, config.batch, 96, config.seed, config.max_frame_distance)
        return prefetch(stream, threads, config.steps)

    _run(tmp_path / "whole", config, batches("ram", 0))
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "parts", config, InterruptedStream(batches(location, workers), steps_done - 1))
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", steps_done)
    _run(tmp_path / "parts", config, batches(location, workers))
    whole, parts = (load_file(tmp_path / name / "checkpoint-00000008.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("location", ["gpu", "ram", "none"])
def test_batches_on_the_gpu_equal_those_on_the_cpu(sources, location, workers):
    gpu = torch.device("cuda", torch.cuda.current_device())
    plain = WindowStream(open_clips(sources, "ram", CPU), 4, 96, 0)
    batches = Prefetch(WindowStream(open_clips(sources, location, gpu), 4, 96, 0), gpu, 96, workers, STEPS)
    try:
        for step in range(STEPS):
            batch = batches.batch(step)
            assert batch.codes.device == batch.starts.device == gpu
            moved = TrainingBatch(batch.codes.cpu(), batch.starts.cpu(), batch.indices, batch.epoch)
            _assert_same(moved, plain.batch(step))
    finally:
        batches.close()
