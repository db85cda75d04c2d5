"""From mel store to shards: who may be trained on, each once, in one shuffle that a seed decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from pipeline import shard
from pipeline.sharding.shard_writer import ShardPlan, choose, plan_shards, write_shards
from stores import locations
from stores.errors import InvalidInput, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.shards import ShardSet, decode_record, write_shard

LENGTHS = [100, 200, 95, 96, 0, 300, 120, 110]
SPLITS = ["", "train", "train", "train", "", "test", "valid", ""]
TRAINED_ON = [0, 1, 3, 7]
SMALL = ShardPlan(record_frames=210, records_per_shard=1)


def _rows(lengths):
    return [ClipRow(i, f"{i}", "s", "g", "", state="written", frames=frames) for i, frames in enumerate(lengths)]


def _read(shards):
    samples = webdataset.WebDataset([str(path) for path in shards.paths], shardshuffle=False)
    return [decode_record(sample) for sample in samples]


def _clips(shards):
    """Index to frame-major codes of every clip of a set."""
    found = []
    for record in _read(shards):
        parts = np.split(record.codes, np.cumsum(record.frames)[:-1])
        found += zip(record.indices.tolist(), parts, strict=True)
    return found


def test_only_clips_of_train_or_no_split_reach_a_shard_and_the_rest_is_counted(make_store):
    store = make_store(LENGTHS, splits=SPLITS)
    shards = write_shards(store, locations.shards(store.path), SMALL)
    assert sorted(index for index, _ in _clips(shards)) == TRAINED_ON
    assert shards.left_out == {"shorter than 96 frames": 1, "refused": 1, "split test": 1, "split valid": 1}
    assert shards.clips + sum(shards.left_out.values()) == shards.store_clips == len(LENGTHS)


def test_every_clip_is_there_once_with_its_own_codes(make_store):
    store = make_store(list(range(96, 160)))
    shards = write_shards(store, locations.shards(store.path), ShardPlan(record_frames=1000, records_per_shard=2))
    clips = _clips(shards)
    assert sorted(index for index, _ in clips) == list(range(64))
    for index, codes in clips:
        np.testing.assert_array_equal(codes.T, store.codes(index))
    assert len(shards.shards) > 3


def test_the_clips_are_shuffled_over_all_shards(make_store):
    store = make_store([96] * 64)
    shards = write_shards(store, locations.shards(store.path), ShardPlan(record_frames=960, records_per_shard=1))
    order = [index for index, _ in _clips(shards)]
    assert order != sorted(order)
    firsts = {index // 16 for index in order[:16]}
    assert len(firsts) > 2


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(make_store):
    store = make_store([100] * 20)
    sets = [
        write_shards(store, store.path.with_name(f"made-{name}") / "made", ShardPlan(seed, 500, 2))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    hashes = [[shard.sha256 for shard in made.shards] for made in sets]
    assert hashes[0] == hashes[1] != hashes[2]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=80), st.integers(0, 5), st.integers(1, 4))
def test_plans_hold_each_clip_once_and_keep_to_their_sizes(lengths, seed, per_shard):
    plan = ShardPlan(seed, record_frames=300, records_per_shard=per_shard)
    planned = plan_shards(_rows(lengths), plan)
    records = [record for part in planned for record in part]
    assert Counter(clip for record in records for clip in record) == Counter(range(len(lengths)))
    assert all(len(record) == 1 or sum(lengths[clip] for clip in record) <= 300 for record in records)
    assert all(len(part) == per_shard for part in planned[:-1])
    assert 0 < len(planned[-1]) <= per_shard
    assert planned == plan_shards(_rows(lengths), plan)


def test_clips_without_an_outcome_are_left_out_by_their_state():
    rows = [
        replace(row, state=state)
        for row, state in zip(_rows([200] * 3), ("planned", "refused", "written"), strict=True)
    ]
    chosen, left_out = choose(rows)
    assert [row.index for row in chosen] == [2]
    assert left_out == {"planned": 1, "refused": 1}


def test_a_store_without_one_clip_to_train_on_is_refused(make_store):
    store = make_store([50, 200], splits=["", "test"])
    with pytest.raises(InvalidInput, match=r"no clip of .* can be trained on: .*shorter than 96"):
        write_shards(store, locations.shards(store.path), ShardPlan())
    assert not locations.shards(store.path).exists()


def test_shards_of_the_same_store_are_taken_as_they_are(make_store):
    store = make_store([100] * 5)
    first = write_shards(store, locations.shards(store.path), ShardPlan())
    stamps = [path.stat().st_mtime_ns for path in first.paths]
    assert write_shards(store, first.folder, ShardPlan()) == first
    assert [path.stat().st_mtime_ns for path in first.paths] == stamps


def test_shards_of_another_store_are_replaced_and_none_of_them_stays(make_store):
    old, new = make_store([200] * 9, "old.zarr"), make_store([200] * 3, "new.zarr", seed=1)
    folder = locations.shards(old.path)
    assert len(write_shards(old, folder, SMALL).shards) == 9
    shards = write_shards(new, folder, SMALL)
    assert shards.store_digest == new.digest()
    assert sorted(path.name for path in folder.glob("*.tar")) == [path.name for path in shards.paths]
    assert ShardSet.open(folder) == shards


def test_an_interruption_while_replacing_leaves_no_index_over_mixed_shards(make_store, monkeypatch):
    old, new = make_store([200] * 3, "old.zarr"), make_store([200] * 3, "new.zarr", seed=1)
    folder = locations.shards(old.path)
    write_shards(old, folder, SMALL)

    def fail_late(path, records):
        if path.stem.endswith("2"):
            raise KeyboardInterrupt
        return write_shard(path, records)

    monkeypatch.setattr("pipeline.sharding.shard_writer.write_shard", fail_late)
    with pytest.raises(KeyboardInterrupt):
        write_shards(new, folder, SMALL)
    with pytest.raises(MissingArtifact):  # same lengths, same sizes: only the index could have told
        ShardSet.open(folder)


@pytest.mark.parametrize("damage", ["unlink", "truncate", "index"])
def test_damaged_shards_are_made_again(make_store, damage):
    store = make_store([100] * 5)
    first = write_shards(store, locations.shards(store.path), ShardPlan())
    if damage == "unlink":
        first.paths[0].unlink()
    elif damage == "truncate":
        first.paths[0].write_bytes(b"short")
    else:
        (first.folder / "index.json").write_text("{")
    assert write_shards(store, first.folder, ShardPlan()) == first
    assert ShardSet.open(first.folder) == first


def test_the_command_writes_beside_the_store_and_tells_what_was_left_out(make_store, capsys):
    store = make_store(LENGTHS, splits=SPLITS)
    assert shard.main([str(store.path)]) == 0
    assert ShardSet.open(store.path.with_suffix(".shards")).clips == len(TRAINED_ON)
    printed = capsys.readouterr().out
    assert "4 clips in 1 shard" in printed
    assert "1 shorter than 96 frames" in printed


def test_the_command_refuses_a_store_that_is_not_there(tmp_path, capsys):
    assert shard.main([str(tmp_path / "none.zarr")]) == 2
    assert "no mel store at" in capsys.readouterr().err


def test_a_store_opened_anew_gives_the_same_shards(make_store):
    store = make_store([100] * 5)
    made = write_shards(store, locations.shards(store.path), ShardPlan())
    again = write_shards(MelStore.open(store.path), store.path.with_name("b") / "made", ShardPlan())
    assert [shard.sha256 for shard in made.shards] == [shard.sha256 for shard in again.shards]
