"""Tests of the command `pipeline.verify`: it finds missing, corrupt and stale data, and repairs it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
import zarr

from pipeline import ingest, shard, verify
from pipeline.audio.decode import file_digest
from stores import manifest
from stores.errors import CorruptArtifact, MissingArtifact
from stores.features import FeatureStore, Spans
from stores.mel_store import MelStore
from stores.shards import ShardSet

CLIPS = 12


def _verify(*arguments):
    return verify.main(["--scheduler", "threads", "--workers", "2", *map(str, arguments)])


def _ingest(root, store):
    arguments = ["folder", "--root", root, "--store", store, "--scheduler", "threads", "--workers", "2"]
    assert ingest.main([*map(str, arguments)]) == 0


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Make a folder of recordings with a store and shards beside it, which no test changes."""
    folder = tmp_path_factory.mktemp("original")
    for number in range(CLIPS):
        synthetic_audio.write(folder / "music" / f"{number:02}.flac", synthetic_audio.chords(24.0, seed=number))
    (folder / "music" / "bad.wav").write_text("no audio")
    _ingest(folder / "music", folder / "m.zarr")
    assert shard.main([str(folder / "m.zarr")]) == 0
    return folder


@pytest.fixture
def place(original, tmp_path):
    """Copy the original with its file times, so that a test can damage it."""
    shutil.copytree(original, tmp_path / "x", dirs_exist_ok=True)
    folder = tmp_path / "x"
    store = MelStore.open(folder / "m.zarr")
    store.move_root(str(folder / "music"))
    return folder


def _files(place):
    return sorted((place / "m.zarr" / "mel" / "c" / "0").iterdir(), key=lambda path: int(path.name))


def _contents(store):
    files = [path for path in store.rglob("*") if path.is_file() and path.name != "report.json"]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def test_an_undamaged_store_and_its_shards_are_sound(place, capsys):
    before = _contents(place / "m.zarr")
    assert _verify(place / "m.zarr", place / "m.shards") == 0
    printed = capsys.readouterr().out
    assert f"m.zarr: {CLIPS} clips: sound" in printed
    assert "m.shards: sound" in printed
    assert _verify(place / "m.zarr", place / "m.shards", "--repair", "--read-audio") == 0
    assert _contents(place / "m.zarr") == before


def test_a_deleted_chunk_file_is_missing_and_restored_bit_for_bit(place, capsys):
    before, deleted = _contents(place / "m.zarr"), _files(place)[1]
    deleted.unlink()
    store = MelStore.open(place / "m.zarr")
    missing = [row for row in store.rows if row.state == "written" and row.region_start // 32_768 == 1]
    with pytest.raises(MissingArtifact, match=r"is missing; .*pipeline\.verify .* --repair"):
        store.codes(missing[0].index)
    assert _verify(place / "m.zarr") == 1
    printed = capsys.readouterr().out
    assert f"{len(missing)} missing\n" in printed
    assert f"missing: '{missing[0].id}'" in printed
    assert _verify(place / "m.zarr", "--repair") == 0
    assert _contents(place / "m.zarr") == before


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.97, 0.999])
def test_a_flipped_byte_in_a_chunk_is_corrupt_for_readers_and_repaired(place, where, capsys):
    before, file = _contents(place / "m.zarr"), _files(place)[0]
    content = bytearray(file.read_bytes())
    content[int(where * len(content))] ^= 0x10
    file.write_bytes(content)
    store = MelStore.open(place / "m.zarr")
    with pytest.raises(CorruptArtifact, match=r"checksum|verify"):
        store.read_frames(0, store.grid.round_up(1))
    assert _verify(place / "m.zarr") == 1
    assert " corrupt\n" in capsys.readouterr().out
    assert _verify(place / "m.zarr", "--repair") == 0
    assert _contents(place / "m.zarr") == before


def test_two_exchanged_chunk_files_are_corrupt(place, capsys):
    first, second, *_ = _files(place)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    assert _verify(place / "m.zarr") == 1
    assert "its frames are not those that were written" in capsys.readouterr().out
    assert _verify(place / "m.zarr", "--repair") == 0


def test_only_damaged_clips_are_decoded_again(place):
    """The first file holds two chunks, and damage to one of them must not affect the clips of the other."""
    store = MelStore.open(place / "m.zarr")
    mel = zarr.open(store.path, mode="r+")["mel"]
    rows = [row for row in store.rows if row.state == "written"][:2]
    mel[:, rows[0].start_frame] = 7
    for row in rows[1:]:
        (place / "music" / row.source).unlink()
    expected = store.codes(rows[1].index)
    assert _verify(place / "m.zarr", "--repair") == 0
    np.testing.assert_array_equal(MelStore.open(store.path).codes(rows[1].index), expected)


def test_a_damaged_clip_without_its_audio_is_rejected(place):
    store = MelStore.open(place / "m.zarr")
    row = next(row for row in store.rows if row.state == "written")
    zarr.open(store.path, mode="r+")["mel"][:, row.start_frame] = 7
    (place / "music" / row.source).unlink()
    assert _verify(store.path) == 1
    assert _verify(store.path, "--repair") == 0
    after = MelStore.open(store.path).rows[row.index]
    assert (after.id, after.state, after.reason) == (row.id, "refused", "missing")
    assert "its frames were damaged, and its audio cannot be read again" in after.detail


def test_no_clip_is_rejected_if_the_whole_audio_folder_is_gone(place, capsys):
    _files(place)[0].unlink()
    before = _contents(place / "m.zarr")
    shutil.move(place / "music", place / "unplugged")
    assert _verify(place / "m.zarr", "--repair") == 2
    assert "does not exist; mount it, then repair again" in capsys.readouterr().err
    (place / "music").mkdir()  # a mount point without its disk
    assert _verify(place / "m.zarr", "--repair") == 2
    assert "is gone or empty; mount it again" in capsys.readouterr().err
    assert _contents(place / "m.zarr") == before


def test_replaced_audio_is_stale_and_decoded_again(place, capsys):
    store = MelStore.open(place / "m.zarr")
    row = store.rows[3]
    path = synthetic_audio.write(place / "music" / row.source, synthetic_audio.noise(14.0))
    assert _verify(place / "m.zarr") == 1
    assert f"1 stale\n  stale: '{row.id}': its audio has changed" in capsys.readouterr().out
    assert _verify(place / "m.zarr", "--repair") == 0
    after = MelStore.open(place / "m.zarr")
    assert (after.rows[3].id, after.rows[3].index) == (row.id, row.index)
    assert after.rows[3].source_digest == file_digest(path)
    assert after.codes(3).shape[1] == after.spec.frames_for(14 * 16_000)
    assert [r for r in after.rows if r.index != 3] == [r for r in store.rows if r.index != 3]
    assert _verify(place / "m.shards") == 1
    assert "stale: m.shards" in capsys.readouterr().out
    assert _verify(place / "m.shards", "--repair") == 0
    assert ShardSet.open(place / "m.shards").store_digest == after.shards_digest()


def test_a_touched_file_is_not_stale_and_a_hidden_change_is_found_by_digest(place, capsys):
    store = MelStore.open(place / "m.zarr")
    touched, changed = (place / "music" / store.rows[number].source for number in (0, 1))
    os.utime(touched)
    content, status = bytearray(changed.read_bytes()), changed.stat()
    content[-1] ^= 1
    changed.write_bytes(content)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _verify(place / "m.zarr") == 0
    capsys.readouterr()
    assert _verify(place / "m.zarr", "--read-audio") == 1
    assert f"stale: '{store.rows[1].id}'" in capsys.readouterr().out


def test_missing_audio_is_printed_and_is_no_finding(place, capsys):
    (place / "music" / "00.flac").unlink()
    assert _verify(place / "m.zarr") == 0
    assert "clips whose audio is gone, so that they could not be restored: 1" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["unlink", "garble", "other"])
def test_metadata_of_the_array_is_restored_without_the_audio(place, damage, capsys):
    before, path = _contents(place / "m.zarr"), place / "m.zarr" / "mel" / "zarr.json"
    if damage == "unlink":
        path.unlink()
    elif damage == "garble":
        path.write_text(path.read_text()[:-9])
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "fill_value": 1}))
    for file in (place / "music").iterdir():
        os.utime(file)
    assert _verify(place / "m.zarr") == 1
    assert ("missing: mel/zarr.json" if damage == "unlink" else "corrupt: mel/zarr.json") in capsys.readouterr().out
    assert _verify(place / "m.zarr", "--repair") == 0
    after = _contents(place / "m.zarr")
    assert json.loads(after.pop("mel/zarr.json")) == json.loads(before.pop("mel/zarr.json"))
    assert after == before


@pytest.mark.parametrize("damage", ["unlink", "garble"])
def test_a_store_without_its_manifest_must_be_ingested_again(place, damage, capsys):
    path = place / "m.zarr" / "manifest.parquet"
    path.unlink() if damage == "unlink" else path.write_bytes(path.read_bytes()[:-20])
    assert _verify(place / "m.zarr", "--repair") == 1
    printed = capsys.readouterr().out
    assert ("1 missing" if damage == "unlink" else "1 corrupt") in printed
    assert "ingest again" in printed


def test_repair_finishes_an_unfinished_store(place, capsys):
    store = MelStore.open(place / "m.zarr")
    expected = [store.codes(row.index) for row in store.rows if row.state == "written"]
    region = store.rows[-2].region_start
    manifest.write(
        place / "m.zarr" / "manifest.parquet",
        [
            replace(manifest.reset_to_planned(row), bound_frames=row.bound_frames)
            if row.region_start == region
            else row
            for row in store.rows
        ],
    )
    assert _verify(place / "m.zarr") == 1
    assert "clips: planned, but not decoded yet" in capsys.readouterr().out
    assert _verify(place / "m.zarr", "--repair") == 0
    after = MelStore.open(place / "m.zarr")
    assert after.rows == store.rows
    for row, codes in zip([row for row in after.rows if row.state == "written"], expected, strict=True):
        np.testing.assert_array_equal(after.codes(row.index), codes)


@pytest.mark.parametrize("damage", ["unlink", "flip", "cut", "longer", "index", "no index"])
def test_damaged_shards_are_found_and_restored_bit_for_bit(place, damage, capsys):
    shards = ShardSet.open(place / "m.shards")
    before, tar, index = _contents(place / "m.shards"), shards.paths[0], place / "m.shards" / "index.json"
    content = bytearray(tar.read_bytes())
    if damage == "unlink":
        tar.unlink()
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        tar.write_bytes(content)
    elif damage == "cut":
        tar.write_bytes(content[:-1])
    elif damage == "longer":
        tar.write_bytes(content + b"x")
    elif damage == "index":
        index.write_text(index.read_text().replace(f'"clips": {CLIPS}', f'"clips": {CLIPS - 1}', 1))
    else:
        index.unlink()
    assert _verify(place / "m.shards") == 1
    assert ("1 missing" if damage in ("unlink", "no index") else "1 corrupt") in capsys.readouterr().out
    assert _verify(place / "m.shards", "--repair") == 0
    assert _contents(place / "m.shards") == before


def test_a_path_that_is_neither_store_nor_shard_set_is_an_error(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    assert _verify(tmp_path / "none.zarr") == 2
    assert _verify(tmp_path / "folder") == 2
    printed = capsys.readouterr().err
    assert "does not exist" in printed
    assert "is neither a mel store NAME.zarr, nor NAME.shards, nor a feature store" in printed


def test_a_command_line_without_paths_is_an_error(capsys):
    assert _verify() == 2
    assert "state at least one folder NAME.zarr or NAME.shards" in capsys.readouterr().err


def test_repair_of_a_neighbor_keeps_the_frames_of_an_unlisted_clip(place, capsys):
    expected = MelStore.open(place / "m.zarr").codes(1)
    shutil.move(place / "music" / "01.flac", place / "kept.flac")
    _ingest(place / "music", place / "m.zarr")
    store = MelStore.open(place / "m.zarr")
    assert store.rows[1].state == "unlisted"
    assert _verify(store.path) == 0
    zarr.open(store.path, mode="r+")["mel"][:, store.rows[0].start_frame] = 7
    assert _verify(store.path, "--repair") == 0
    shutil.move(place / "kept.flac", place / "music" / "01.flac")
    _ingest(place / "music", place / "m.zarr")
    np.testing.assert_array_equal(MelStore.open(store.path).codes(1), expected)


def test_a_damaged_unlisted_clip_is_decoded_when_it_is_listed_again(place):
    expected = MelStore.open(place / "m.zarr").codes(1)
    shutil.move(place / "music" / "01.flac", place / "kept.flac")
    _ingest(place / "music", place / "m.zarr")
    store = MelStore.open(place / "m.zarr")
    zarr.open(store.path, mode="r+")["mel"][:, store.rows[1].start_frame] = 7
    assert _verify(store.path) == 1
    assert _verify(store.path, "--repair") == 0
    assert MelStore.open(store.path).rows[1].state == "unlisted"
    shutil.move(place / "kept.flac", place / "music" / "01.flac")
    _ingest(place / "music", place / "m.zarr")
    after = MelStore.open(store.path)
    assert after.rows[1].state == "written"
    np.testing.assert_array_equal(after.codes(1), expected)
    assert _verify(store.path) == 0


def test_a_store_without_the_usual_suffix_is_checked(place):
    (place / "m.zarr").rename(place / "m.v1")
    assert _verify(place / "m.v1") == 0


@pytest.fixture
def feature_path(place):
    """Write features of the store, of 5,000 rows and thus of two chunks, beside it."""
    store = MelStore.open(place / "m.zarr")
    rows = list(store.rows.select(state="written"))
    clip = np.sort(np.arange(5_000) % len(rows))
    spans = Spans(clip, np.zeros(5_000), np.ones(5_000, np.int64), np.zeros(5_000, bool))
    embeddings = np.random.default_rng(0).normal(size=(5_000, 3)).astype(np.float32)
    provenance = {"digest": "d", "store_digest": store.digest(), "mel": store.value_settings()}
    path = place / "m.first.features.zarr"
    FeatureStore(embeddings, [rows[i] for i in clip], provenance, spans, store.path).write(path)
    return path


def _flip(file):
    content = bytearray(file.read_bytes())
    content[-9] ^= 16
    file.write_bytes(content)


FEATURE_DAMAGE = {
    "a lost chunk": (lambda path: (path / "embeddings/c/1/0").unlink(), "1 missing", "missing: embeddings/c/1/0"),
    "a flipped byte": (lambda path: _flip(path / "embeddings/c/0/0"), "1 corrupt", "extract again"),
    "lost clips": (lambda path: (path / "clips.parquet").unlink(), "1 missing", "missing: clips.parquet"),
    "damaged spans": (lambda path: (path / "spans.parquet").write_bytes(b"PAR1"), "1 corrupt", "extract again"),
    "other attributes": (lambda path: (path / "zarr.json").write_text("{}"), "1 corrupt", "is not a feature store"),
}


@pytest.mark.parametrize("name", FEATURE_DAMAGE)
def test_damage_of_a_feature_store_is_found(feature_path, capsys, name):
    assert _verify(feature_path) == 0
    assert capsys.readouterr().out == f"{feature_path}: sound\n"
    damage, summary, line = FEATURE_DAMAGE[name]
    damage(feature_path)
    assert _verify(feature_path) == 1
    printed = capsys.readouterr().out
    assert f"{feature_path}: {summary}\n" in printed
    assert line in printed
    assert _verify(feature_path, "--repair") == 1
    assert "embeddings are not restored here; run the `python -m model.extract`" in capsys.readouterr().out


def test_features_of_a_changed_mel_store_are_stale(feature_path, place, capsys):
    store = MelStore.open(place / "m.zarr")
    store.update([replace(row, split="test", labels={"a": "b"}) for row in store.rows])
    assert _verify(feature_path) == 0
    store.update([replace(row, source_digest="x") if row.index == 2 else row for row in store.rows])
    capsys.readouterr()
    assert _verify(feature_path) == 1
    assert "m.zarr has changed since: 1 clip whose audio or mel has changed" in capsys.readouterr().out


def test_features_without_their_mel_store_are_sound(feature_path, place):
    shutil.rmtree(place / "m.zarr")
    assert _verify(feature_path) == 0
    assert _verify("--upgrade", feature_path) == 2
