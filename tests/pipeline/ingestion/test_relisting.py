"""Tests of a second ingest after the files have changed: clips that are gone, that return, that moved, and replaced."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
from small_stores import SMALL_GRID

from pipeline import ingest, shard, verify
from pipeline.audio.decode import file_digest
from pipeline.cluster.client import connect
from pipeline.datasets import folder
from pipeline.datasets.track import Track
from pipeline.ingestion import plan, recording, region_task
from pipeline.ingestion.build import Build
from pipeline.ingestion.progress import IngestProgress
from stores import locations
from stores.mel_store import MelStore
from stores.shards import ShardSet

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def client():
    with connect("threads", 2) as connected:
        yield connected


@pytest.fixture
def root(tmp_path):
    """Write four recordings of different lengths."""
    for number, name in enumerate(NAMES):
        synthetic_audio.write(tmp_path / "audio" / f"{name}.wav", synthetic_audio.chords(1.0 + number, seed=number))
    return tmp_path / "audio"


@pytest.fixture
def decoded(monkeypatch):
    """Collect the names of all files that are decoded."""
    names, decode = [], recording.decode_stream
    monkeypatch.setattr(recording, "decode_stream", lambda path, *rest: names.append(path.name) or decode(path, *rest))
    return names


def _build(root, path, client, tracks=None, **options):
    build = Build("folder", root, path, grid=SMALL_GRID)
    rows = build.plan_manifest(folder.tracks(root).tracks if tracks is None else tracks, client, **options)
    build.run(build.create_or_update(rows), client, IngestProgress())
    return MelStore.open(path)


def _states(store):
    return {row.id: row.state for row in store.rows}


def _assert_equals_its_file(root, store, name):
    (row,) = store.rows.take(store.rows.index_of([name]))
    assert (row.state, row.source_digest) == ("written", file_digest(root / row.source))
    again = _build(root, store.path.with_name(f"again-{name}.zarr"), _CLIENT[0], [Track(name, root / row.source, name)])
    np.testing.assert_array_equal(store.codes(row.index), again.codes(0))


_CLIENT = []


@pytest.fixture(autouse=True)
def _known_client(client):
    _CLIENT[:] = [client]


def test_clips_of_deleted_files_become_unlisted_and_keep_everything_else(root, tmp_path, client):
    before = _build(root, tmp_path / "m.zarr", client)
    (root / "b.wav").unlink()
    after = _build(root, tmp_path / "m.zarr", client)
    assert after.rows == [replace(row, state="unlisted") if row.id == "b.wav" else row for row in before.rows]
    assert after.digest() != before.digest()
    assert after.shards_digest() != before.shards_digest()


def test_clips_that_are_listed_again_return_without_decoding(root, tmp_path, client, decoded):
    (root / "bad.wav").write_text("no audio")
    before = _build(root, tmp_path / "m.zarr", client)
    rows, digest = list(before.rows), before.digest()
    shutil.move(root / "b.wav", tmp_path / "b.wav")
    shutil.move(root / "bad.wav", tmp_path / "bad.wav")
    gone = _build(root, tmp_path / "m.zarr", client)
    assert [row.id for row in gone.rows if row.state == "unlisted"] == ["b.wav", "bad.wav"]
    shutil.move(tmp_path / "b.wav", root / "b.wav")
    shutil.move(tmp_path / "bad.wav", root / "bad.wav")
    decoded.clear()
    after = _build(root, tmp_path / "m.zarr", client)
    assert after.rows == rows
    assert after.digest() == digest
    assert decoded == []


def test_a_clip_that_returns_with_other_audio_is_decoded_again(root, tmp_path, client):
    _build(root, tmp_path / "m.zarr", client)
    (root / "b.wav").unlink()
    _build(root, tmp_path / "m.zarr", client)
    synthetic_audio.write(root / "b.wav", synthetic_audio.noise(2.0, seed=9))
    _assert_equals_its_file(root, _build(root, tmp_path / "m.zarr", client), "b.wav")


def test_a_planned_clip_that_was_gone_overwrites_no_neighbor_when_it_returns(root, tmp_path, client, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(region_task, "run", lambda task: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            _build(root, tmp_path / "m.zarr", client)
    shutil.move(root / "a.wav", tmp_path / "a.wav")
    assert _states(_build(root, tmp_path / "m.zarr", client))["a.wav"] == "unlisted"
    shutil.move(tmp_path / "a.wav", root / "a.wav")
    store = _build(root, tmp_path / "m.zarr", client)
    for name in NAMES:
        _assert_equals_its_file(root, store, f"{name}.wav")


def test_a_clip_that_was_decoded_by_an_unfinished_ingest_returns_without_decoding(
    root, tmp_path, client, monkeypatch, decoded
):
    with monkeypatch.context() as patched:
        patched.setattr(MelStore, "update", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            _build(root, tmp_path / "m.zarr", client)
    shutil.move(root / "a.wav", tmp_path / "a.wav")
    assert _states(_build(root, tmp_path / "m.zarr", client)) == {
        "a.wav": "unlisted",
        **{f"{name}.wav": "written" for name in "bcd"},
    }
    shutil.move(tmp_path / "a.wav", root / "a.wav")
    decoded.clear()
    store = _build(root, tmp_path / "m.zarr", client)
    assert decoded == []
    _assert_equals_its_file(root, store, "a.wav")


def test_a_replaced_file_is_decoded_again_under_its_index(root, tmp_path, client, decoded):
    before = list(_build(root, tmp_path / "m.zarr", client).rows)
    synthetic_audio.write(root / "c.wav", synthetic_audio.noise(1.5, seed=5))
    decoded.clear()
    store = _build(root, tmp_path / "m.zarr", client)
    assert decoded == ["c.wav"]
    assert [row for row in store.rows if row.id != "c.wav"] == [row for row in before if row.id != "c.wav"]
    _assert_equals_its_file(root, store, "c.wav")


def test_two_files_that_changed_places_are_decoded_again(root, tmp_path, client):
    for name, seed in (("x", 1), ("y", 2)):
        synthetic_audio.write(root / f"{name}.wav", synthetic_audio.chords(2.0, seed=seed))
    _build(root, tmp_path / "m.zarr", client)
    (root / "x.wav").rename(root / "z.wav")
    (root / "y.wav").rename(root / "x.wav")
    (root / "z.wav").rename(root / "y.wav")
    store = _build(root, tmp_path / "m.zarr", client)
    _assert_equals_its_file(root, store, "x.wav")
    _assert_equals_its_file(root, store, "y.wav")


def test_a_touched_file_is_not_decoded_and_not_compared_twice(root, tmp_path, client, decoded, monkeypatch):
    before = _build(root, tmp_path / "m.zarr", client)
    digest = before.digest()
    os.utime(root / "a.wav", ns=(1, 2))
    decoded.clear()
    after = _build(root, tmp_path / "m.zarr", client)
    assert (decoded, after.digest(), after.rows[0].source_mtime_ns) == ([], digest, 2)
    monkeypatch.setattr("pipeline.ingestion.replaced_files.file_digest", lambda _: 1 / 0)
    assert _build(root, tmp_path / "m.zarr", client).rows == after.rows


def test_a_file_that_moved_under_the_same_id_is_found_there(root, tmp_path, client, decoded):
    tracks = [Track("one", root / "a.wav", "g"), Track("two", root / "b.wav", "g")]
    _build(root, tmp_path / "m.zarr", client, tracks)
    (root / "deep").mkdir()
    shutil.move(root / "a.wav", root / "deep" / "a.wav")
    decoded.clear()
    moved = _build(root, tmp_path / "m.zarr", client, [replace(tracks[0], path=root / "deep" / "a.wav"), tracks[1]])
    assert (moved.rows[0].source, moved.rows[0].state, decoded) == ("deep/a.wav", "written", [])


def test_a_file_that_was_replaced_under_another_path_is_decoded_again(root, tmp_path, client):
    _build(root, tmp_path / "m.zarr", client, [Track("one", root / "a.wav", "g")])
    (root / "a.wav").unlink()
    store = _build(root, tmp_path / "m.zarr", client, [Track("one", root / "b.wav", "g")])
    assert (store.rows[0].source, store.rows[0].source_digest) == ("b.wav", file_digest(root / "b.wav"))


def test_a_member_of_a_rewritten_container_is_compared_by_its_own_bytes(root, tmp_path, client, decoded):
    files = [root / f"{name}.wav" for name in NAMES[:2]]
    packed = synthetic_audio.pack(tmp_path / "packed" / "x.tar", files)
    tracks = [Track(file.name, packed, file.name, member=file.name) for file in files]
    _build(packed.parent, tmp_path / "m.zarr", client, tracks)
    synthetic_audio.write(files[1], synthetic_audio.noise(2.0))
    synthetic_audio.pack(packed, files)
    decoded.clear()
    store = _build(packed.parent, tmp_path / "m.zarr", client, tracks)
    assert len(decoded) == 1
    assert [row.source_digest for row in store.rows] == [file_digest(file) for file in files]


def test_an_incomplete_listing_makes_nothing_unlisted(root, tmp_path, client):
    before = _build(root, tmp_path / "m.zarr", client)
    rows = list(before.rows)
    assert _build(root, tmp_path / "m.zarr", client, folder.tracks(root).tracks[:2], lists_all=False).rows == rows


def test_headers_of_stored_clips_are_not_read_again(root, tmp_path, client, monkeypatch):
    _build(root, tmp_path / "m.zarr", client)
    monkeypatch.setattr(plan, "bound_seconds", lambda *_: 1 / 0)
    (root / "a.wav").unlink()
    assert _states(_build(root, tmp_path / "m.zarr", client))["a.wav"] == "unlisted"


# The commands


def _ingest(root, store, *options):
    arguments = ["folder", "--root", root, "--store", store, "--scheduler", "threads", "--workers", "2", *options]
    return ingest.main([*map(str, arguments)])


def _table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "split"), *rows])
    return path


@pytest.fixture
def split_root(tmp_path):
    """Write a folder with recordings in train and test, and their table."""
    for split, names in (("train", "ab"), ("test", "cd")):
        for name in names:
            samples = synthetic_audio.chords(6.0, seed=ord(name))
            synthetic_audio.write(tmp_path / "music" / split / f"{name}.wav", samples)
    rows = [(f"{split}/{name}.wav", split) for split, names in (("train", "ab"), ("test", "cd")) for name in names]
    _table(tmp_path / "labels.csv", rows)
    return tmp_path / "music"


def test_a_recording_that_moved_to_test_is_in_train_neither_in_the_store_nor_in_its_shards(
    split_root, tmp_path, capsys
):
    labels, store = tmp_path / "labels.csv", tmp_path / "m.zarr"
    assert _ingest(split_root, store, "--labels", labels) == 0
    assert shard.main([str(store)]) == 0
    shutil.move(split_root / "train" / "a.wav", split_root / "test" / "a.wav")
    _table(labels, [("train/b.wav", "train"), *((f"test/{name}.wav", "test") for name in "acd")])
    capsys.readouterr()
    assert _ingest(split_root, store, "--labels", labels) == 0
    assert "  1 clip is no longer listed" in capsys.readouterr().out
    rows = MelStore.open(store).rows
    assert [(row.id, row.split) for row in rows.select(state="written", split="train")] == [("train/b.wav", "train")]
    assert verify.main(["--scheduler", "threads", str(tmp_path / "m.shards")]) == 1
    assert "stale: m.shards" in capsys.readouterr().out
    assert shard.main([str(store)]) == 0
    shards = ShardSet.open(tmp_path / "m.shards")
    assert (shards.clips, shards.left_out) == (1, {"split test": 3, "unlisted": 1})
    assert verify.main(["--scheduler", "threads", str(store), str(tmp_path / "m.shards")]) == 0
    assert "clips that are no longer listed" in capsys.readouterr().out


def test_shards_are_stale_after_a_clip_changed_its_split(split_root, tmp_path, capsys):
    labels, store = tmp_path / "labels.csv", tmp_path / "m.zarr"
    _ingest(split_root, store, "--labels", labels)
    shard.main([str(store)])
    labels.write_text(labels.read_text().replace("train/a.wav,train", "train/a.wav,test"))
    _ingest(split_root, store, "--labels", labels)
    assert verify.main(["--scheduler", "threads", str(tmp_path / "m.shards")]) == 1
    assert "stale: m.shards" in capsys.readouterr().out


def test_prune_removes_unlisted_clips_and_frees_their_frames(split_root, tmp_path, capsys):
    store = tmp_path / "m.zarr"
    _ingest(split_root, store)
    before = MelStore.open(store)
    kept = {row.id: before.codes(row.index) for row in before.rows if row.id != "train/b.wav"}
    shard.main([str(store)])
    (split_root / "train" / "b.wav").unlink()
    _ingest(split_root, store)
    assert len(MelStore.open(store)) == 4
    capsys.readouterr()
    assert _ingest(split_root, store, "--prune") == 0
    assert "removed: 1 clip" in capsys.readouterr().out
    after = MelStore.open(store)
    assert [row.index for row in after.rows] == [0, 1, 2]
    assert {row.id for row in after.rows} == set(kept)
    for row in after.rows:
        np.testing.assert_array_equal(after.codes(row.index), kept[row.id])
    used = {file for row in after.rows for file in after.shard_files(row.start_frame, row.start_frame + row.frames)}
    assert set((store / "mel" / "c" / "0").iterdir()) == used
    assert verify.main(["--scheduler", "threads", str(store)]) == 0
    assert verify.main(["--scheduler", "threads", str(tmp_path / "m.shards")]) == 1  # their indices are old


def test_a_pruned_store_grows_again(split_root, tmp_path):
    store = tmp_path / "m.zarr"
    _ingest(split_root, store)
    last = MelStore.open(store).rows[-1]
    shutil.move(split_root / last.source, tmp_path / "kept.wav")
    assert _ingest(split_root, store, "--prune") == 0
    shutil.move(tmp_path / "kept.wav", split_root / last.source)
    assert _ingest(split_root, store) == 0
    after = MelStore.open(store)
    assert [row.state for row in after.rows] == ["written"] * 4
    assert after.rows[-1].codes_digest == last.codes_digest
    assert verify.main(["--scheduler", "threads", str(store)]) == 0


def test_limit_makes_nothing_unlisted(split_root, tmp_path, capsys):
    store = tmp_path / "m.zarr"
    _ingest(split_root, store)
    rows = list(MelStore.open(store).rows)
    assert _ingest(split_root, store, "--limit", "1") == 0
    assert MelStore.open(store).rows == rows
    assert "no longer listed" not in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root can open every folder")
def test_a_folder_that_cannot_be_opened_makes_nothing_unlisted(split_root, tmp_path):
    store = tmp_path / "m.zarr"
    _ingest(split_root, store)
    rows = list(MelStore.open(store).rows)
    (split_root / "test").chmod(0)
    try:
        assert _ingest(split_root, store) == 0
    finally:
        (split_root / "test").chmod(0o755)
    assert MelStore.open(store).rows == rows


@pytest.mark.parametrize(
    "description", ["could not be opened", "damaged: x.tar (cut short)", "Parquet file not read: y"]
)
def test_an_unread_file_or_folder_makes_nothing_unlisted(split_root, tmp_path, monkeypatch, description):
    store = tmp_path / "m.zarr"
    _ingest(split_root, store)
    rows, tracks = list(MelStore.open(store).rows), folder.tracks
    (split_root / "test" / "c.wav").unlink()
    monkeypatch.setattr(folder, "tracks", lambda *rest: replace(tracks(*rest), counts={description: 1}))
    assert _ingest(split_root, store) == 0
    assert MelStore.open(store).rows == rows


def test_a_recording_in_two_splits_of_a_table_is_an_error_that_names_both(split_root, tmp_path, capsys):
    labels, store = tmp_path / "labels.csv", tmp_path / "m.zarr"
    shutil.copy(split_root / "train" / "a.wav", split_root / "test" / "c.wav")
    assert _ingest(split_root, store, "--labels", labels) == 2
    printed = capsys.readouterr()
    assert "'train/a.wav' (train) and 'test/c.wav' (test)" in printed.err
    assert shard.main([str(store)]) == 2
    assert not locations.shards(store).exists()
    assert verify.main(["--scheduler", "threads", str(store)]) == 1
    assert "shared: 'train/a.wav' (train) and 'test/c.wav' (test)" in capsys.readouterr().out
    labels.write_text(labels.read_text().replace("train/a.wav,train", "train/a.wav,test"))
    assert _ingest(split_root, store, "--labels", labels) == 0
    assert shard.main([str(store)]) == 0
    assert verify.main(["--scheduler", "threads", str(store)]) == 0


def test_a_copy_of_a_test_recording_without_a_row_is_an_error_because_it_would_be_trained_on(
    split_root, tmp_path, capsys
):
    shutil.copy(split_root / "test" / "c.wav", split_root / "copy of c.wav")
    assert _ingest(split_root, tmp_path / "m.zarr", "--labels", tmp_path / "labels.csv") == 2
    assert "(no split, so it is trained on)" in capsys.readouterr().err


@pytest.mark.slow
def test_copies_without_splits_are_no_error(split_root, tmp_path):
    shutil.copy(split_root / "test" / "c.wav", split_root / "copy of c.wav")
    assert _ingest(split_root, tmp_path / "m.zarr") == 0
