"""Whether a tar is what was written; and the record by which a set that was not finished is gone on with."""

from __future__ import annotations

import pytest

from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations, shard_integrity
from stores.shards import ShardSet

SMALL = ShardPlan(record_frames=210, records_per_shard=1)


@pytest.fixture
def shards(make_store):
    """Nine small tars."""
    store = make_store([200] * 9)
    return store, write_shards(store, locations.shards(store.path), SMALL)


def test_any_flipped_byte_of_a_tar_is_found(shards):
    _, found = shards
    facts, path = found.shards[0], found.paths[0]
    content = path.read_bytes()
    assert shard_integrity.damage(found.folder, facts) is None
    for position in range(0, len(content), 997):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert shard_integrity.damage(found.folder, facts) == ("corrupt", "its SHA-256 is not the one in its index")
    path.write_bytes(content[:-1])
    assert "bytes, its index says" in shard_integrity.damage(found.folder, facts)[1]
    path.unlink()
    assert shard_integrity.damage(found.folder, facts)[0] == "missing"


def test_only_damaged_tars_are_written_again(shards):
    store, found = shards
    stamps = {path: path.stat().st_mtime_ns for path in found.paths}
    found.paths[4].unlink()
    assert write_shards(store, found.folder, SMALL) == found
    assert {path for path in found.paths if path.stat().st_mtime_ns != stamps[path]} == {found.paths[4]}
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(
        ["index.json", *(p.name for p in found.paths)]
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"made_from": "x", "facts": {"name": "y"}}', '{"facts": 7}'])
def test_a_record_that_is_none_of_ours_is_passed_over(shards, content):
    _, found = shards
    shard_integrity.record(found.folder, found.shards[0], "this")
    (found.folder / "parts" / "other.json").write_text(content)
    assert list(shard_integrity.recorded(found.folder, "this")) == [found.shards[0]]
    assert list(shard_integrity.recorded(found.folder, "other")) == []


def test_another_seed_makes_other_shards(make_store):
    store = make_store([200] * 9)
    folder = locations.shards(store.path)
    first = write_shards(store, folder, SMALL)
    second = write_shards(store, folder, type(SMALL)(seed=1, record_frames=SMALL.record_frames, records_per_shard=1))
    assert [shard.sha256 for shard in first.shards] != [shard.sha256 for shard in second.shards]
    assert second.plan["seed"] == 1
    assert ShardSet.open(folder) == second
