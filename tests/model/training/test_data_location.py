"""Wherever clips stay, batches are the same; what does not fit is refused with both numbers before it is read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.training import data_location
from model.training.data_location import open_clips, require_memory
from model.training.on_disk import ClipsOnDisk
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from model.training.stream import WindowStream
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.errors import CorruptArtifact, InvalidInput

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SMALL = ShardPlan(record_frames=320, records_per_shard=1)


@pytest.fixture
def stores(make_store):
    """Two, which share one collection of 11 clips to train on."""
    lengths = [96, 300, 0, 120, 97, 50, 200, 110, 96, 150], [100, 0, 130, 96]
    return [make_store(one, f"made{number}.zarr", seed=number) for number, one in enumerate(lengths)]


@pytest.fixture
def sources(stores):
    return TrainingShards(tuple(write_shards(store, locations.shards(store.path), SMALL) for store in stores))


def _assert_same_batches(clips, others, distance):
    first, second = (WindowStream(one, 4, 96, seed=7, max_frame_distance=distance) for one in (clips, others))
    for step in (0, 1, 2, 5, 11):
        ours, theirs = first.batch(step), second.batch(step)
        assert torch.equal(ours.windows(96), theirs.windows(96))
        assert torch.equal(ours.indices, theirs.indices)
        assert ours.epoch == theirs.epoch


@pytest.mark.parametrize("distance", [None, 5])
def test_batches_from_disk_are_those_from_memory(sources, distance):
    _assert_same_batches(open_clips(sources, "ram", CPU), open_clips(sources, "none", CPU), distance)


@pytest.mark.parametrize("resident", ["ram", "none"])
def test_no_batch_holds_a_clip_twice_and_no_clip_of_any_store_is_lost(sources, resident):
    clips = open_clips(sources, resident, CPU)
    stream = WindowStream(clips, 4, 96, seed=0)  # 11 clips: two steps an epoch, three clips are left over
    batches = [stream.batch(step).indices.tolist() for step in range(12)]
    assert all(len(set(batch)) == 4 for batch in batches)
    for first in range(0, 10, 2):
        left_over = set(clips.indices.tolist()) - {*batches[first], *batches[first + 1]}
        assert len(left_over) == 3
        assert left_over <= set(batches[first + 2])


def test_windows_on_disk_are_slices_of_the_stores(sources, stores):
    clips = ClipsOnDisk.find(sources)
    assert sorted(clips.indices.tolist()) == [0, 1, 3, 4, 6, 7, 8, 9, 10, 12, 13]
    for clip, index in enumerate(clips.indices.tolist()):
        codes = stores[index >= 10].codes(index - 10 * (index >= 10))
        last = int(clips.frames[clip]) - 96
        found, starts = clips.cut(np.array([clip, clip]), np.array([0, last]), 96)
        assert starts.tolist() == [0, 96]
        np.testing.assert_array_equal(found.numpy().T, np.concatenate([codes[:, :96], codes[:, last:]], axis=1))


def test_a_batch_from_disk_reads_its_own_windows_and_no_others(sources, monkeypatch):
    """Also after a resume: nothing that was passed is read."""
    read, real = [], data_location.ClipsOnDisk._read

    def counting(clips, places, offsets, windows):
        read.append(windows.nbytes)
        real(clips, places, offsets, windows)

    monkeypatch.setattr(data_location.ClipsOnDisk, "_read", counting)
    stream = WindowStream(open_clips(sources, "none", CPU), 4, 96, seed=0)
    assert read == []
    stream.batch(1001)
    assert read == [2 * 4 * 96 * 128]


def test_a_tar_is_opened_once_for_a_batch(sources, monkeypatch):
    clips, opened = open_clips(sources, "none", CPU), []
    real = type(clips.tars[0]).read
    monkeypatch.setattr(type(clips.tars[0]), "read", lambda tar, *rest: opened.append(tar.path) or real(tar, *rest))
    WindowStream(clips, 11, 96, seed=0).batch(0)
    assert sorted(opened) == sorted(path for shards in sources.sets for path in shards.paths)


def test_a_damaged_tar_is_refused_from_disk_as_from_memory(sources):
    path = sources.sets[1].paths[0]
    content = bytearray(path.read_bytes())
    content[512:520] = b"garbage!"
    path.write_bytes(content)
    for kind in ("ram", "none"):
        with pytest.raises(CorruptArtifact, match="shard"):
            open_clips(sources, kind, CPU)


def test_two_clips_with_one_index_are_refused(sources):
    first, second = sources.sets
    shifted = TrainingShards((replace(first, store_clips=10), second))
    clips = ResidentClips.load(shifted)
    clips.indices[0] = clips.indices[1]
    with pytest.raises(CorruptArtifact, match="11 clips share 10 stable indices"):
        WindowStream(clips, 4, 96, seed=0)


def test_without_a_gpu_the_gpu_cannot_hold_them(sources):
    with pytest.raises(InvalidInput, match="--resident gpu needs a GPU, and PyTorch finds none; use --resident ram"):
        open_clips(sources, "gpu", CPU)


def test_what_is_needed_and_what_is_free_is_said(sources, capsys):
    open_clips(sources, "ram", CPU)
    assert "the clips need 0 MB of RAM, " in capsys.readouterr().out


def test_too_little_memory_is_refused_before_anything_is_read(sources, monkeypatch):
    monkeypatch.setattr(ResidentClips, "load", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(data_location.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(InvalidInput, match="the clips need 0 MB of RAM, 0 MB are free; use --resident none"):
        open_clips(sources, "ram", CPU)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    with pytest.raises(InvalidInput, match="0 MB of the GPU's memory, 0 MB are free; use --resident ram, or none"):
        open_clips(sources, "gpu", GPU)


def test_every_process_of_a_machine_needs_its_own_memory(sources, monkeypatch):
    needed = sources.frames * 128 + 24 * sources.clips
    monkeypatch.setattr(data_location.psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * needed))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    open_clips(sources, "ram", CPU)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(InvalidInput, match="use --resident none"):
        open_clips(sources, "ram", CPU)


def test_numbers_are_in_megabytes():
    with pytest.raises(InvalidInput, match="need 33,000 MB of RAM, 24,500 MB are free"):
        require_memory(33_000_000_000, 24_500_000_000, "of RAM", "none")
    require_memory(5, 5, "of RAM", "none")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_from_the_gpu_are_those_from_memory(sources):
    clips = open_clips(sources, "gpu", GPU)
    assert clips.codes.is_cuda
    on_cpu = ResidentClips(clips.codes.cpu(), clips.starts, clips.frames, clips.indices)
    _assert_same_batches(on_cpu, open_clips(sources, "ram", CPU), None)
