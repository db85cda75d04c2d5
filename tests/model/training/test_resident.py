"""Loading into memory: all clips of one store or several are loaded, and damaged shards are errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.errors import CorruptArtifact
from stores.shards import Record, ShardSet, write_shard

LENGTHS = [96, 300, 0, 120, 97, 50, 200, 110, 96, 150]
TRAINING_CLIPS = {0, 1, 3, 4, 6, 7, 8, 9}


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


@pytest.fixture
def shards(store):
    return write_shards(store, locations.shards(store.path), ShardPlan(record_frames=320, records_per_shard=1))


def test_all_clips_are_loaded_with_their_indices_and_codes(store, shards):
    clips = ResidentClips.load(TrainingShards((shards,)))
    assert len(shards.shards) > 2
    assert set(clips.indices.tolist()) == TRAINING_CLIPS
    assert len(clips.indices) == len(clips.starts) == len(clips.frames) == 8
    for index, start, frames in zip(clips.indices, clips.starts, clips.frames, strict=True):
        np.testing.assert_array_equal(clips.codes[start : start + frames].numpy().T, store.codes(int(index)))


def _replace_content(change):
    def damage(shards):
        path = shards.paths[0]
        path.write_bytes(change(path.read_bytes()))

    return damage


def _replace_records(*lengths, mels=128):
    def damage(shards):
        codes = np.zeros((sum(lengths), mels), np.uint8)
        write_shard(shards.paths[0], [Record(codes, np.arange(len(lengths)), np.array(lengths))])

    return damage


# damage that `ShardSet.open` does not notice: sizes are those of the index, or the damage comes after the opening
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_replace_content(lambda content: b"xyz" + content[3:]), r"cannot be read: .*bad checksum"),
        (_replace_content(lambda content: content[:2000]), "cannot be read: .*unexpected end of data"),
        (_replace_content(lambda content: bytes(len(content))), "cannot be read: No samples"),
        (_replace_content(lambda content: content[:512] + b"garbage" + content[519:]), "cannot be decoded"),
        (lambda shards: shards.paths[0].unlink(), "cannot be read: .*No such file"),
        (_replace_records(96), r"holds 1 clips, but its index lists 2"),
        (_replace_records(9000), r"record of shape \[9000, 128\], but its index leaves memory for"),
        (_replace_records(96, mels=64), r"record of shape \[96, 64\], but its index leaves memory for"),
    ],
)
def test_damage_is_an_error_that_says_how_to_repair_it(shards, damage, message):
    damage(shards)
    with pytest.raises(CorruptArtifact, match=message) as raised:
        ResidentClips.load(TrainingShards((shards,)))
    assert "shard" in str(raised.value)


def test_a_wrong_number_of_clips_in_the_index_is_an_error(shards):
    more = replace(shards, shards=(replace(shards.shards[0], clips=shards.shards[0].clips + 1), *shards.shards[1:]))
    with pytest.raises(CorruptArtifact, match="holds 2 clips, but its index lists 3"):
        ResidentClips.load(TrainingShards((more,)))


def test_a_set_that_is_opened_equals_the_set_that_was_written(shards):
    index = json.loads((shards.folder / "index.json").read_text())
    assert len(index["shards"]) == len(shards.shards)
    opened = ResidentClips.load(TrainingShards((ShardSet.open(shards.folder),)))
    written = ResidentClips.load(TrainingShards((shards,)))
    assert torch.equal(opened.codes, written.codes)
    np.testing.assert_array_equal(opened.indices, written.indices)


def test_a_clip_that_the_store_does_not_have_is_an_error(shards):
    message = r"indices \d to 9, but its store has 9 clips; remove .*made\.shards and run"
    with pytest.raises(CorruptArtifact, match=message):
        ResidentClips.load(TrainingShards((replace(shards, store_clips=9),)))


def test_clips_of_a_second_store_continue_the_indices_of_the_first(make_store, shards):
    second = make_store([100, 0, 130], "more.zarr", seed=1)
    second_shards = write_shards(second, locations.shards(second.path), ShardPlan())
    clips = ResidentClips.load(TrainingShards((shards, second_shards)))
    assert set(clips.indices.tolist()) == {*TRAINING_CLIPS, 10, 12}
    start = clips.starts[clips.indices.tolist().index(12)]
    np.testing.assert_array_equal(clips.codes[start : start + 130].numpy().T, second.codes(2))


def test_clips_are_loaded_to_the_device(shards):
    # the meta device stands for a GPU: it accepts copies, but its values cannot be read
    clips = ResidentClips.load(TrainingShards((shards,)), torch.device("meta"))
    assert clips.codes.device.type == "meta"
    assert clips.codes.shape == (shards.frames, 128)
