"""Integrity check of shards, and records by which an unfinished set is continued."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations, shard_integrity
from stores.mel_store import MelStore
from stores.shards import ShardSet

SMALL = ShardPlan(record_frames=210, records_per_shard=1)


@pytest.fixture
def shards(make_store):
    """A store and nine small shards."""
    store = make_store([200] * 9)
    return store, write_shards(store, locations.shards(store.path), SMALL)


def test_any_changed_byte_of_a_shard_is_found(shards):
    _, shard_set = shards
    summary, path = shard_set.shards[0], shard_set.paths[0]
    content = path.read_bytes()
    assert shard_integrity.find_damage(shard_set.folder, summary) is None
    for position in range(0, len(content), 997):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert shard_integrity.find_damage(shard_set.folder, summary) == (
            "corrupt",
            "its SHA-256 is not the one in its index",
        )
    path.write_bytes(content[:-1])
    assert "bytes, its index says" in shard_integrity.find_damage(shard_set.folder, summary)[1]
    path.unlink()
    assert shard_integrity.find_damage(shard_set.folder, summary)[0] == "missing"


def test_shards_of_the_store_as_it_is_are_not_stale(shards):
    store, shard_set = shards
    assert shard_integrity.find_staleness(shard_set, store) == ""
    store.update([replace(row, labels={"genre": "folk"}) for row in store.rows])  # labels do not reach shards
    assert shard_integrity.find_staleness(shard_set, MelStore.open(store.path)) == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda row: replace(row, split="test") if row.index < 4 else row, "4 split test instead of 0"),
        (lambda row: replace(row, state="unlisted") if row.index == 2 else row, "1 unlisted instead of 0"),
        (
            lambda row: replace(row, split="valid", state="refused" if row.index else "written"),
            "8 refused instead of 0, 1 split valid instead of 0",
        ),
        (lambda row: replace(row, source_digest="other"), "the audio, the length or the split of clips"),
        (
            lambda row: replace(row, split="" if row.split == "train" else "train"),
            "the audio, the length or the split of clips",
        ),
    ],
)
def test_shards_of_a_store_that_has_changed_are_stale(shards, change, text):
    store, shard_set = shards
    store.update([change(row) for row in store.rows])
    assert shard_integrity.find_staleness(shard_set, MelStore.open(store.path)) == text


def test_shards_of_a_store_with_more_clips_are_stale(shards, make_store):
    _, shard_set = shards
    assert (
        shard_integrity.find_staleness(shard_set, make_store([200] * 11, "more.zarr")) == "it has 11 clips instead of 9"
    )


def test_only_damaged_shards_are_written_again(shards):
    store, shard_set = shards
    stamps = {path: path.stat().st_mtime_ns for path in shard_set.paths}
    shard_set.paths[4].unlink()
    assert write_shards(store, shard_set.folder, SMALL) == shard_set
    assert {path for path in shard_set.paths if path.stat().st_mtime_ns != stamps[path]} == {shard_set.paths[4]}
    assert sorted(path.name for path in shard_set.folder.iterdir()) == sorted(
        ["index.json", *(p.name for p in shard_set.paths)]
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"made_from": "x", "facts": {"name": "y"}}', '{"facts": 7}'])
def test_foreign_records_are_ignored(shards, content):
    _, shard_set = shards
    shard_integrity.record_shard(shard_set.folder, shard_set.shards[0], "this")
    (shard_set.folder / "parts" / "other.json").write_text(content)
    assert list(shard_integrity.find_recorded_shards(shard_set.folder, "this")) == [shard_set.shards[0]]
    assert list(shard_integrity.find_recorded_shards(shard_set.folder, "other")) == []


def test_another_seed_gives_other_shards(make_store):
    store = make_store([200] * 9)
    folder = locations.shards(store.path)
    first = write_shards(store, folder, SMALL)
    second = write_shards(store, folder, type(SMALL)(seed=1, record_frames=SMALL.record_frames, records_per_shard=1))
    assert [shard.sha256 for shard in first.shards] != [shard.sha256 for shard in second.shards]
    assert second.plan["seed"] == 1
    assert ShardSet.open(folder) == second
