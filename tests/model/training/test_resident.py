"""Shards -> memory: all clips are there, of one store or several, and what is damaged is refused."""

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
CAN_BE_TRAINED_ON = {0, 1, 3, 4, 6, 7, 8, 9}


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


@pytest.fixture
def shards(store):
    return write_shards(store, locations.shards(store.path), ShardPlan(record_frames=320, records_per_shard=1))


def test_all_clips_of_all_shards_are_there_with_their_index_and_codes(store, shards):
    clips = ResidentClips.load(TrainingShards((shards,)))
    assert len(shards.shards) > 2
    assert set(clips.indices.tolist()) == CAN_BE_TRAINED_ON
    assert len(clips.indices) == len(clips.starts) == len(clips.frames) == 8
    for index, start, frames in zip(clips.indices, clips.starts, clips.frames, strict=True):
        np.testing.assert_array_equal(clips.codes[start : start + frames].numpy().T, store.codes(int(index)))


def _content(change):
    def damage(shards):
        path = shards.paths[0]
        path.write_bytes(change(path.read_bytes()))

    return damage


def _records(*lengths, mels=128):
    def damage(shards):
        codes = np.zeros((sum(lengths), mels), np.uint8)
        write_shard(shards.paths[0], [Record(codes, np.arange(len(lengths)), np.array(lengths))])

    return damage


# what `ShardSet.open` does not see: sizes are what the index says, or it was opened before the damage
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_content(lambda content: b"xyz" + content[3:]), r"cannot be read: .*bad checksum"),
        (_content(lambda content: content[:2000]), "cannot be read: .*unexpected end of data"),
        (_content(lambda content: bytes(len(content))), "cannot be read: No samples"),
        (_content(lambda content: content[:512] + b"garbage" + content[519:]), "cannot be decoded"),
        (lambda shards: shards.paths[0].unlink(), "cannot be read: .*No such file"),
        (_records(96), r"holds 1 clips, its index says 2"),
        (_records(9000), r"codes \[9000, 128\] where its index leaves room"),
        (_records(96, mels=64), r"codes \[96, 64\] where its index leaves room"),
    ],
)
def test_damage_is_refused_and_says_how_it_is_mended(shards, damage, told):
    damage(shards)
    with pytest.raises(CorruptArtifact, match=told) as raised:
        ResidentClips.load(TrainingShards((shards,)))
    assert "shard" in str(raised.value)


def test_clips_that_the_index_does_not_know_are_refused(shards):
    fewer = replace(shards, shards=(replace(shards.shards[0], clips=shards.shards[0].clips + 1), *shards.shards[1:]))
    with pytest.raises(CorruptArtifact, match="holds 2 clips, its index says 3"):
        ResidentClips.load(TrainingShards((fewer,)))


def test_a_set_opened_from_its_index_is_read_like_the_one_that_was_written(shards):
    index = json.loads((shards.folder / "index.json").read_text())
    assert len(index["shards"]) == len(shards.shards)
    found, made = (
        ResidentClips.load(TrainingShards((ShardSet.open(shards.folder),))),
        ResidentClips.load(TrainingShards((shards,))),
    )
    assert torch.equal(found.codes, made.codes)
    np.testing.assert_array_equal(found.indices, made.indices)


def test_a_clip_that_the_store_does_not_have_is_refused(shards):
    with pytest.raises(CorruptArtifact, match=r"holds clips \d to 9 of a store of 9; remove .*made\.shards and run"):
        ResidentClips.load(TrainingShards((replace(shards, store_clips=9),)))


def test_clips_of_several_stores_lie_end_to_end_and_the_second_counts_on(make_store, shards):
    more = make_store([100, 0, 130], "more.zarr", seed=1)
    clips = ResidentClips.load(TrainingShards((shards, write_shards(more, locations.shards(more.path), ShardPlan()))))
    assert set(clips.indices.tolist()) == {*CAN_BE_TRAINED_ON, 10, 12}
    place = clips.indices.tolist().index(12)
    start = clips.starts[place]
    np.testing.assert_array_equal(clips.codes[start : start + 130].numpy().T, more.codes(2))


def test_they_stay_on_the_device_that_was_named(shards):
    clips = ResidentClips.load(
        TrainingShards((shards,)), torch.device("meta")
    )  # stands for a GPU: it takes, and shows nothing
    assert clips.codes.device.type == "meta"
    assert clips.codes.shape == (shards.frames, 128)
