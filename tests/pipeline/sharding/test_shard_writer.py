"""Tests of the shard writer: the selection of clips, the shuffle, and what happens to existing shards."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import dask
import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from pipeline import shard, verify
from pipeline.sharding.shard_writer import ShardPlan, plan_shards, select_clips, write_shards
from stores import locations
from stores.errors import InvalidInput, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.shards import ShardSet, decode_record, write_shard

LENGTHS = [100, 200, 95, 96, 0, 300, 120, 110]
SPLITS = ["", "train", "train", "train", "", "test", "valid", ""]
TRAINING_CLIPS = [0, 1, 3, 7]
SMALL = ShardPlan(record_frames=210, records_per_shard=1)


def _rows(lengths):
    return [ClipRow(i, f"{i}", "s", "g", "", state="written", frames=frames) for i, frames in enumerate(lengths)]


def _read(shards):
    samples = webdataset.WebDataset([str(path) for path in shards.paths], shardshuffle=False)
    return [decode_record(sample) for sample in samples]


def _clips(shards):
    """Return the index and the frame-major codes of every clip of a set."""
    clips = []
    for record in _read(shards):
        parts = np.split(record.codes, np.cumsum(record.frames)[:-1])
        clips += zip(record.indices.tolist(), parts, strict=True)
    return clips


def test_only_clips_of_train_or_no_split_are_written_and_the_others_counted(make_store):
    store = make_store(LENGTHS, splits=SPLITS)
    shards = write_shards(store, locations.shards(store.path), SMALL)
    assert sorted(index for index, _ in _clips(shards)) == TRAINING_CLIPS
    assert shards.left_out == {"shorter than 96 frames": 1, "refused": 1, "split test": 1, "split valid": 1}
    assert shards.clips + sum(shards.left_out.values()) == shards.store_clips == len(LENGTHS)


def test_every_clip_is_written_once_with_its_codes(make_store):
    store = make_store(list(range(96, 160)))
    shards = write_shards(store, locations.shards(store.path), ShardPlan(record_frames=1000, records_per_shard=2))
    clips = _clips(shards)
    assert sorted(index for index, _ in clips) == list(range(64))
    for index, codes in clips:
        np.testing.assert_array_equal(codes.T, store.codes(index))
    assert len(shards.shards) > 3


@pytest.mark.slow
def test_clips_are_shuffled_over_all_shards(make_store):
    store = make_store([96] * 64)
    shards = write_shards(store, locations.shards(store.path), ShardPlan(record_frames=960, records_per_shard=1))
    order = [index for index, _ in _clips(shards)]
    assert order != sorted(order)
    firsts = {index // 16 for index in order[:16]}
    assert len(firsts) > 2


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(make_store):
    store = make_store([100] * 20)
    sets = [
        write_shards(store, store.path.with_name(f"set-{name}") / "set", ShardPlan(seed, 500, 2))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    hashes = [[shard.sha256 for shard in shards.shards] for shards in sets]
    assert hashes[0] == hashes[1] != hashes[2]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=80), st.integers(0, 5), st.integers(1, 4))
def test_plans_contain_each_clip_once_and_respect_their_sizes(lengths, seed, per_shard):
    plan = ShardPlan(seed, record_frames=300, records_per_shard=per_shard)
    planned = plan_shards(_rows(lengths), plan)
    records = [record for part in planned for record in part]
    assert Counter(clip for record in records for clip in record) == Counter(range(len(lengths)))
    assert all(len(record) == 1 or sum(lengths[clip] for clip in record) <= 300 for record in records)
    assert all(len(part) == per_shard for part in planned[:-1])
    assert 0 < len(planned[-1]) <= per_shard
    assert planned == plan_shards(_rows(lengths), plan)


def test_planned_and_rejected_clips_are_left_out_by_their_state():
    rows = [
        replace(row, state=state)
        for row, state in zip(_rows([200] * 3), ("planned", "refused", "written"), strict=True)
    ]
    clips, left_out = select_clips(rows)
    assert [row.index for row in clips] == [2]
    assert left_out == {"planned": 1, "refused": 1}


def test_a_store_without_training_clips_is_an_error(make_store):
    store = make_store([50, 200], splits=["", "test"])
    with pytest.raises(InvalidInput, match=r"no clip of .* can be trained on: .*shorter than 96"):
        write_shards(store, locations.shards(store.path), ShardPlan())
    assert not locations.shards(store.path).exists()


def test_shards_of_the_same_store_are_kept(make_store):
    store = make_store([100] * 5)
    first = write_shards(store, locations.shards(store.path), ShardPlan())
    stamps = [path.stat().st_mtime_ns for path in first.paths]
    assert write_shards(store, first.folder, ShardPlan()) == first
    assert [path.stat().st_mtime_ns for path in first.paths] == stamps


def test_all_shards_of_a_store_that_changed_are_replaced(make_store):
    old = make_store([200] * 9, "old.zarr")
    folder = locations.shards(old.path)
    assert len(write_shards(old, folder, SMALL).shards) == 9
    shutil.rmtree(old.path)
    new = make_store([200] * 3, "old.zarr", seed=1)
    shards = write_shards(new, folder, SMALL)
    assert shards.store_digest == new.shards_digest()
    assert sorted(path.name for path in folder.glob("*.tar")) == [path.name for path in shards.paths]
    assert ShardSet.open(folder) == shards


def _interrupt_third_shard(monkeypatch):
    def fail_late(path, records, quantizer):
        if path.stem.endswith("2"):
            raise KeyboardInterrupt
        return write_shard(path, records, quantizer)

    monkeypatch.setattr("pipeline.sharding.tar_task.write_shard", fail_late)


def test_an_interrupted_replacement_leaves_no_index_for_mixed_shards(make_store, monkeypatch):
    old = make_store([200] * 3, "old.zarr")
    folder = locations.shards(old.path)
    write_shards(old, folder, SMALL)
    shutil.rmtree(old.path)
    new = make_store([200] * 3, "old.zarr", seed=1)
    _interrupt_third_shard(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        write_shards(new, folder, SMALL)
    with pytest.raises(MissingArtifact):  # lengths and sizes are equal, so only an index could tell them apart
        ShardSet.open(folder)


def test_shards_of_another_store_are_never_overwritten(make_store):
    first, second = make_store([200] * 3, "a.zarr"), make_store([200] * 3, "b.zarr", seed=1)
    folder = locations.shards(first.path)
    shards = write_shards(first, folder, SMALL)
    with pytest.raises(InvalidInput, match=r"a\.shards holds the shards of a\.zarr, and not of .*b\.zarr; rename"):
        write_shards(second, folder, SMALL)
    assert ShardSet.open(folder) == shards


def test_unfinished_shards_of_another_store_are_not_overwritten(make_store, monkeypatch):
    first, second = make_store([200] * 3, "a.zarr"), make_store([200] * 3, "b.zarr", seed=1)
    folder = locations.shards(first.path)
    with monkeypatch.context() as patched:
        _interrupt_third_shard(patched)
        with pytest.raises(KeyboardInterrupt):
            write_shards(first, folder, SMALL)
    before = {path: path.read_bytes() for path in folder.glob("*.tar")}
    with pytest.raises(InvalidInput, match="holds the shards of a"):
        write_shards(second, folder, SMALL)
    assert {path: path.read_bytes() for path in folder.glob("*.tar")} == before


def test_shards_that_were_renamed_with_their_store_are_kept(make_store):
    store = make_store([200] * 3, "a.zarr")
    shards = write_shards(store, locations.shards(store.path), SMALL)
    shards.folder.rename(shards.folder.with_name("b.shards"))
    store.path.rename(store.path.with_name("b.zarr"))
    renamed = MelStore.open(store.path.with_name("b.zarr"))
    assert write_shards(renamed, locations.shards(renamed.path), SMALL).shards == shards.shards


@pytest.mark.parametrize("names", [("a.v1", "a.v2"), ("a.v1.zarr", "a.v2.zarr"), ("música", "musica")])
def test_stores_whose_names_differ_after_a_dot_have_shards_of_their_own(make_store, names, capsys):
    stores = [make_store([200] * 3, name, seed=seed) for seed, name in enumerate(names)]
    for store in stores:
        assert shard.main([str(store.path)]) == 0
    sets = [ShardSet.open(locations.shards(store.path)) for store in stores]
    assert sets[0].folder != sets[1].folder
    assert [shards.store_digest for shards in sets] == [store.shards_digest() for store in stores]
    for shards in sets:
        assert {index for index, _ in _clips(shards)} == {0, 1, 2}
        assert verify.main([str(shards.folder)]) == 0
        shards.paths[0].unlink()
        assert verify.main([str(shards.folder), "--repair"]) == 0


def test_a_store_with_the_suffix_and_one_without_it_do_not_overwrite_each_other(make_store, capsys):
    plain, usual = make_store([200] * 3, "a"), make_store([200] * 3, "a.zarr", seed=1)
    assert shard.main([str(plain.path)]) == 0
    assert shard.main([str(usual.path)]) == 2
    assert "holds the shards of a, and not of" in capsys.readouterr().err


def test_unlisted_clips_are_left_out_and_make_the_shards_stale(make_store):
    store = make_store([200] * 3)
    before = write_shards(store, locations.shards(store.path), SMALL)
    store.update([replace(row, state="unlisted") if row.index == 1 else row for row in store.rows])
    after = write_shards(store, before.folder, SMALL)
    assert (after.clips, after.left_out) == (2, {"unlisted": 1})
    assert after.store_digest != before.store_digest


@pytest.mark.parametrize("damage", ["unlink", "truncate", "index"])
def test_damaged_shards_are_written_again(make_store, damage):
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


def test_the_command_writes_beside_the_store_and_prints_what_was_left_out(make_store, capsys):
    store = make_store(LENGTHS, splits=SPLITS)
    assert shard.main([str(store.path)]) == 0
    assert ShardSet.open(store.path.with_suffix(".shards")).clips == len(TRAINING_CLIPS)
    printed = capsys.readouterr().out
    assert "4 clips in 1 shard" in printed
    assert "1 shorter than 96 frames" in printed


def test_the_command_reports_a_store_that_does_not_exist(tmp_path, capsys):
    assert shard.main([str(tmp_path / "none.zarr")]) == 2
    assert "no mel store at" in capsys.readouterr().err


def test_a_cluster_is_only_needed_where_shards_are_missing(make_store, tmp_path, capsys):
    nobody = ["--scheduler", "tcp://127.0.0.1:1"]
    assert shard.main([str(tmp_path / "none.zarr"), *nobody]) == 2
    assert "no mel store at" in capsys.readouterr().err
    store = make_store([100] * 5)
    assert shard.main([str(store.path)]) == 0
    assert shard.main([str(store.path), *nobody]) == 0
    shutil.rmtree(locations.shards(store.path))
    with dask.config.set({"distributed.comm.timeouts.connect": "100ms"}):
        assert shard.main([str(store.path), *nobody]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_a_reopened_store_gives_the_same_shards(make_store):
    store = make_store([100] * 5)
    expected = write_shards(store, locations.shards(store.path), ShardPlan())
    shards = write_shards(MelStore.open(store.path), store.path.with_name("b") / store.path.stem, ShardPlan())
    assert [shard.sha256 for shard in expected.shards] == [shard.sha256 for shard in shards.shards]


@pytest.mark.slow
def test_a_cluster_writes_the_bytes_of_one_process(make_store, monkeypatch, capsys):
    store = make_store([96 + i for i in range(40)])
    monkeypatch.setattr("pipeline.sharding.shard.ShardPlan", lambda seed: replace(SMALL, seed=seed))
    assert shard.main([str(store.path)]) == 0
    folder = locations.shards(store.path)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert len(before) > 5
    shutil.rmtree(folder)
    assert shard.main([str(store.path), "--scheduler", "threads", "--workers", "2"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert shard.main([str(store.path), "--scheduler", "threads", "--format", "stock"]) == 2
    assert "--format stock is written by one process" in capsys.readouterr().err


def test_tars_for_other_readers_are_not_taken_for_anything_else(make_store, capsys):
    store = make_store([96, 120])
    assert shard.main([str(store.path), "--format", "stock"]) == 0
    folder = locations.beside_store(store.path, ".stock")
    assert verify.main([str(folder)]) == 2
    assert "holds tars for other readers, which are not checked; `python -m pipeline.shard" in capsys.readouterr().err
