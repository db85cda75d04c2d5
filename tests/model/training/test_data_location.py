"""Data location: batches do not depend on it, and too little memory is an error before anything is read."""

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
    """Two stores with 11 clips in total that are long enough for training."""
    lengths = [96, 300, 0, 120, 97, 50, 200, 110, 96, 150], [100, 0, 130, 96]
    return [make_store(frames, f"made{number}.zarr", seed=number) for number, frames in enumerate(lengths)]


@pytest.fixture
def sources(stores):
    return TrainingShards(tuple(write_shards(store, locations.shards(store.path), SMALL) for store in stores))


def _assert_same_batches(clips, expected_clips, distance):
    stream, expected_stream = (
        WindowStream(each, 4, 96, seed=7, max_frame_distance=distance) for each in (clips, expected_clips)
    )
    for step in (0, 1, 2, 5, 11):
        batch, expected = stream.batch(step), expected_stream.batch(step)
        assert torch.equal(batch.windows(96), expected.windows(96))
        assert torch.equal(batch.indices, expected.indices)
        assert batch.epoch == expected.epoch


@pytest.mark.parametrize("distance", [None, 5])
def test_batches_from_disk_equal_those_from_memory(sources, distance):
    _assert_same_batches(open_clips(sources, "ram", CPU), open_clips(sources, "none", CPU), distance)


@pytest.mark.parametrize("location", ["ram", "none"])
def test_no_batch_contains_a_clip_twice_and_no_clip_is_lost(sources, location):
    clips = open_clips(sources, location, CPU)
    stream = WindowStream(clips, 4, 96, seed=0)  # 11 clips: two steps per epoch, and three clips are left over
    batches = [stream.batch(step).indices.tolist() for step in range(12)]
    assert all(len(set(batch)) == 4 for batch in batches)
    for first in range(0, 10, 2):
        left_over = set(clips.indices.tolist()) - {*batches[first], *batches[first + 1]}
        assert len(left_over) == 3
        assert left_over <= set(batches[first + 2])


def test_windows_from_disk_are_slices_of_the_clips(sources, stores):
    clips = ClipsOnDisk.open(sources)
    assert sorted(clips.indices.tolist()) == [0, 1, 3, 4, 6, 7, 8, 9, 10, 12, 13]
    for clip, index in enumerate(clips.indices.tolist()):
        codes = stores[index >= 10].codes(index - 10 * (index >= 10))
        last = int(clips.frames[clip]) - 96
        windows, starts = clips.cut(np.array([clip, clip]), np.array([0, last]), 96)
        assert starts.tolist() == [0, 96]
        np.testing.assert_array_equal(windows.numpy().T, np.concatenate([codes[:, :96], codes[:, last:]], axis=1))


def test_a_batch_from_disk_reads_its_own_windows_only(sources, monkeypatch):
    """A resumed run, too, does not read earlier batches."""
    read_bytes, read_windows = [], ClipsOnDisk._read_windows

    def count(clips, tar_numbers, offsets, windows):
        read_bytes.append(windows.nbytes)
        read_windows(clips, tar_numbers, offsets, windows)

    monkeypatch.setattr(ClipsOnDisk, "_read_windows", count)
    stream = WindowStream(open_clips(sources, "none", CPU), 4, 96, seed=0)
    assert read_bytes == []
    stream.batch(1001)
    assert read_bytes == [2 * 4 * 96 * 128]


def test_a_batch_opens_each_tar_once(sources, monkeypatch):
    clips, opened = open_clips(sources, "none", CPU), []
    read = type(clips.tars[0]).read
    monkeypatch.setattr(type(clips.tars[0]), "read", lambda tar, *rest: opened.append(tar.path) or read(tar, *rest))
    WindowStream(clips, 11, 96, seed=0).batch(0)
    assert sorted(opened) == sorted(path for shards in sources.sets for path in shards.paths)


def test_a_damaged_tar_is_an_error_from_disk_and_from_memory(sources):
    path = sources.sets[1].paths[0]
    content = bytearray(path.read_bytes())
    content[512:520] = b"garbage!"
    path.write_bytes(content)
    for location in ("ram", "none"):
        with pytest.raises(CorruptArtifact, match="shard"):
            open_clips(sources, location, CPU)


def test_two_clips_with_one_index_are_an_error(sources):
    first, second = sources.sets
    clips = ResidentClips.load(TrainingShards((replace(first, store_clips=10), second)))
    clips.indices[0] = clips.indices[1]
    with pytest.raises(CorruptArtifact, match="11 clips share 10 stable indices"):
        WindowStream(clips, 4, 96, seed=0)


def test_the_location_gpu_without_a_gpu_is_an_error(sources):
    with pytest.raises(InvalidInput, match="--resident gpu needs a GPU, but PyTorch finds none; use --resident ram"):
        open_clips(sources, "gpu", CPU)


def test_the_needed_and_the_free_memory_are_printed(sources, capsys):
    open_clips(sources, "ram", CPU)
    assert "the clips need 0 MB of RAM, and " in capsys.readouterr().out


def test_too_little_memory_is_an_error_before_anything_is_read(sources, monkeypatch):
    monkeypatch.setattr(ResidentClips, "load", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(data_location.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(InvalidInput, match="need 0 MB of RAM, and 0 MB are free; use --resident none"):
        open_clips(sources, "ram", CPU)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    message = "need 0 MB of GPU memory, and 0 MB are free; use --resident ram or --resident none"
    with pytest.raises(InvalidInput, match=message):
        open_clips(sources, "gpu", GPU)


def test_every_process_of_a_machine_needs_its_own_memory(sources, monkeypatch):
    needed = sources.frames * 128 + 24 * sources.clips
    monkeypatch.setattr(data_location.psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * needed))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    open_clips(sources, "ram", CPU)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(InvalidInput, match="use --resident none"):
        open_clips(sources, "ram", CPU)


def test_memory_is_given_in_megabytes():
    with pytest.raises(InvalidInput, match="need 33,000 MB of RAM, and 24,500 MB are free"):
        require_memory(33_000_000_000, 24_500_000_000, "RAM", "--resident none")
    require_memory(5, 5, "RAM", "--resident none")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_from_the_gpu_equal_those_from_memory(sources):
    clips = open_clips(sources, "gpu", GPU)
    assert clips.codes.is_cuda
    on_cpu = ResidentClips(clips.codes.cpu(), clips.starts, clips.frames, clips.indices)
    _assert_same_batches(on_cpu, open_clips(sources, "ram", CPU), None)
