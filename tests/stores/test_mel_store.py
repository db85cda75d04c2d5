"""The mel store: values are read as they were written, and damaged or unfinished stores are errors."""

from __future__ import annotations

import json
import pickle
import shutil

import dask.array
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import SMALL_GRID, planned_rows, random_codes, store_settings

from stores.chunk_grid import ChunkGrid
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.manifest import planned_regions
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

LENGTHS = [40, 20, 64, 1, 200, 7]


def _edit_attributes(store, change):
    path = store.path / "zarr.json"
    content = json.loads(path.read_text())
    change(content["attributes"]["myna"])
    path.write_text(json.dumps(content))


def test_codes_are_read_bit_for_bit(make_store):
    store = MelStore.open(make_store(LENGTHS).path)
    assert len(store) == len(LENGTHS)
    for index, frames in enumerate(LENGTHS):
        np.testing.assert_array_equal(store.codes(index), random_codes(frames, index))


def test_a_clip_is_the_power_of_its_codes(make_store):
    store = make_store(LENGTHS)
    mel = store.clip(4)
    assert mel.shape == (128, 200)
    assert mel.dtype == np.float32
    np.testing.assert_array_equal(mel, Quantizer().decode(random_codes(200, 4)))


def test_a_window_is_a_part_of_the_clip(make_store):
    store = make_store(LENGTHS)
    np.testing.assert_array_equal(store.window(4, 30, 96), store.clip(4)[:, 30:126])
    np.testing.assert_array_equal(store.window(4, 0, 200), store.clip(4))
    assert store.window(4, 200, 0).shape == (128, 0)


@pytest.mark.parametrize(("start", "frames"), [(-1, 10), (150, 51), (0, 201), (10, -5)])
def test_a_window_outside_the_clip_is_an_error(make_store, start, frames):
    with pytest.raises(InvalidInput, match="are not inside clip 'clip-4' of 200"):
        make_store(LENGTHS).window(4, start, frames)


@pytest.mark.parametrize("index", [-1, 6])
def test_a_missing_clip_is_an_error(make_store, index):
    with pytest.raises(InvalidInput, match=rf"clip {index} is not in .* clips 0 to 5"):
        make_store(LENGTHS).clip(index)


def test_a_rejected_clip_states_why_it_has_no_mel(make_store):
    with pytest.raises(InvalidInput, match=r"clip 'clip-1' has no mel: it was rejected \(unreadable: no audio\)"):
        make_store([40, 0, 30]).clip(1)


def test_plain_zarr_reads_the_store(make_store):
    store = make_store(LENGTHS)
    mel = zarr.open(store.path, mode="r")["mel"]
    assert mel.metadata.dimension_names == ("mel", "frame")
    row = store.rows[4]
    np.testing.assert_array_equal(mel[:, row.start_frame : row.start_frame + row.frames], store.codes(4))


def test_plain_dask_reads_the_store(make_store):
    store = make_store(LENGTHS)
    mel = dask.array.from_zarr(store.path, component="mel")
    row = store.rows[4]
    codes = mel[:, row.start_frame : row.start_frame + row.frames].compute(scheduler="synchronous")
    np.testing.assert_array_equal(codes, store.codes(4))


def test_specification_and_quantizer_are_read_from_the_store(make_store):
    spec, quantizer = MelSpec(hop_samples=160), Quantizer(-5.0, 5.0)
    written = make_store([10], mel_spec=spec.to_dict(), quantizer=quantizer.to_dict())
    store = MelStore.open(written.path)
    assert (store.spec, store.quantizer) == (spec, quantizer)
    np.testing.assert_array_equal(store.clip(0), quantizer.decode(store.codes(0)))


def test_a_missing_store_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no mel store at .*python -m pipeline.ingest DATASET --store"):
        MelStore.open(tmp_path / "none.zarr")


def test_an_existing_store_is_not_overwritten(make_store):
    store = make_store(LENGTHS)
    with pytest.raises(InvalidInput, match="already exists"):
        MelStore.create(store.path, store.rows, store_settings(), SMALL_GRID)


def test_an_unfinished_store_opens_only_on_request(tmp_path):
    MelStore.create(tmp_path / "half.zarr", planned_rows([10, 20]), store_settings(), SMALL_GRID)
    with pytest.raises(MissingArtifact, match="not finished: 2 of 2 clips are still planned"):
        MelStore.open(tmp_path / "half.zarr")
    assert len(MelStore.open(tmp_path / "half.zarr", complete=False)) == 2


def test_more_codes_than_a_region_has_frames_are_an_error(tmp_path):
    rows = planned_rows([60, 60])
    store = MelStore.create(tmp_path / "small.zarr", rows, store_settings(), SMALL_GRID)
    with pytest.raises(InvalidInput, match="has 64 frames, but needs 65"):
        store.write_region(planned_regions(rows)[0], random_codes(65))


def test_codes_with_another_number_of_mel_bins_are_an_error(tmp_path):
    rows = planned_rows([60])
    store = MelStore.create(tmp_path / "small.zarr", rows, store_settings(), SMALL_GRID)
    with pytest.raises(InvalidInput, match=r"the codes have 64 mel bins, and .* has 128"):
        store.write_region(planned_regions(rows)[0], random_codes(60)[:64])


def test_writing_a_region_twice_does_not_change_its_neighbors(tmp_path):
    rows = planned_rows([60, 60, 60])
    store = MelStore.create(tmp_path / "three.zarr", rows, store_settings(), SMALL_GRID)
    first, second, third = planned_regions(rows)
    store.write_region(first, random_codes(64, 1))
    store.write_region(third, random_codes(64, 3))
    for _ in range(2):
        store.write_region(second, random_codes(50, 2))
        mel = zarr.open(store.path, mode="r")["mel"][:]
        np.testing.assert_array_equal(mel[:, :64], random_codes(64, 1))
        np.testing.assert_array_equal(mel[:, 64:114], random_codes(50, 2))
        assert not mel[:, 114:128].any()
        np.testing.assert_array_equal(mel[:, 128:], random_codes(64, 3))


@pytest.mark.parametrize("silent_from", [0, 64])
def test_a_silent_zarr_shard_is_a_file_and_a_missing_one_is_lost(tmp_path, silent_from):
    rows = planned_rows([128])
    store = MelStore.create(tmp_path / "made.zarr", rows, store_settings(), SMALL_GRID)
    (region,) = planned_regions(rows)
    codes = random_codes(128)
    codes[:, silent_from:] = 0
    store.write_region(region, codes)
    assert np.array_equal(store.read_frames(0, 128), codes)
    assert np.array_equal(zarr.open_array(tmp_path / "made.zarr/mel")[:, :128], codes)
    (tmp_path / "made.zarr/mel/c/0/1").unlink()
    with pytest.raises(MissingArtifact, match="mel/c/0/1 is missing"):
        store.read_frames(0, 128)


def test_a_region_is_finished_only_after_it_was_recorded(tmp_path):
    rows = planned_rows([60])
    store = MelStore.create(tmp_path / "one.zarr", rows, store_settings(), SMALL_GRID)
    (region,) = planned_regions(rows)
    store.write_region(region, random_codes(60))
    assert not store.is_finished(region)
    store.finish_region(region, rows)
    assert store.is_finished(region)


def test_the_frame_axis_grows_with_the_manifest_and_keeps_its_content(make_store):
    store = make_store([60, 60])
    before = store.codes(1)
    store.update([*store.rows, *planned_rows([60, 60, 500])[2:]])
    mel = zarr.open(store.path, mode="r")["mel"]
    assert mel.shape == (128, 128 + 512)
    np.testing.assert_array_equal(MelStore.open(store.path, complete=False).codes(1), before)


def test_other_settings_are_an_error_that_names_each(make_store):
    store = make_store([10])
    store.require_settings(store_settings())
    other = store_settings(preprocessing={"decoder": "another"}, mel_spec=MelSpec(hop_samples=160).to_dict())
    with pytest.raises(DigestMismatch) as raised:
        store.require_settings(other)
    message = str(raised.value)
    assert "preprocessing: store {'decoder': 'none'}, now {'decoder': 'another'}" in message
    assert "mel_spec:" in message
    assert "quantizer:" not in message


def test_a_pickled_store_can_be_read(make_store):
    store = make_store(LENGTHS)
    expected = store.codes(2)
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.codes(2), expected)


def test_the_digest_changes_with_settings_clips_and_audio(make_store):
    same = make_store([10, 20], "a.zarr").digest()
    assert make_store([10, 20], "b.zarr").digest() == same
    assert make_store([10, 20], "c.zarr", dataset="renamed", root="/moved").digest() == same
    assert make_store([10, 21], "d.zarr").digest() != same
    assert make_store([10, 20], "e.zarr", preprocessing={"decoder": "another"}).digest() != same
    assert make_store([10, 20], "f.zarr", seed=1).digest() != same


@pytest.mark.parametrize("key", ["mel_spec", "quantizer", "preprocessing", "root"])
def test_missing_settings_are_an_error(make_store, key):
    store = make_store([10])
    _edit_attributes(store, lambda attributes: attributes.pop(key))
    with pytest.raises(CorruptArtifact, match=key):
        MelStore.open(store.path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mel_spec", {"n_fft": 2048}),
        ("mel_spec", {**MelSpec().to_dict(), "color": 1}),
        ("mel_spec", {**MelSpec().to_dict(), "n_fft": "many"}),
        ("mel_spec", "none"),
        ("quantizer", {"kind": "of another version"}),
        ("quantizer", {**Quantizer().to_dict(), "low_decades": "low"}),
        ("format_version", 1),
    ],
)
def test_settings_that_cannot_be_read_are_an_error(make_store, key, value):
    store = make_store([10])
    _edit_attributes(store, lambda attributes: attributes.update({key: value}))
    with pytest.raises(CorruptArtifact):
        MelStore.open(store.path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_foreign_metadata_is_an_error(make_store, content):
    store = make_store([10])
    (store.path / "zarr.json").write_text(content)
    with pytest.raises(CorruptArtifact):
        MelStore.open(store.path)


def test_a_store_without_metadata_is_an_error(make_store):
    store = make_store([10])
    (store.path / "zarr.json").unlink()
    with pytest.raises(CorruptArtifact):
        MelStore.open(store.path)


def test_a_store_without_its_array_is_an_error(make_store):
    store = make_store([10])
    shutil.rmtree(store.path / "mel")
    with pytest.raises(CorruptArtifact, match="mel"):
        MelStore.open(store.path).codes(0)


def test_a_manifest_that_is_not_parquet_is_an_error(make_store):
    store = make_store([10])
    (store.path / "manifest.parquet").write_bytes(b"not parquet")
    with pytest.raises(CorruptArtifact, match="Parquet"):
        MelStore.open(store.path)


@given(
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.integers(1, 200),
    st.sampled_from([(1, 1), (4, 8), (16, 64), (64, 64)]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_any_values_are_read_bit_for_bit(tmp_path_factory, dtype, frames, cut, seed):
    """Write every type through all codecs, with any grid: smooth, rough, constant and extreme values."""
    quantizer, grid = Quantizer.from_dtype(dtype), ChunkGrid(*cut)
    rows = planned_rows([frames], grid)
    path = tmp_path_factory.mktemp("chain") / "c.zarr"
    store = MelStore.create(path, rows, store_settings(quantizer=quantizer.to_dict()), grid)
    codes = _codes_of_any_kind(dtype, frames, seed)
    (region,) = planned_regions(rows)
    store.write_region(region, codes)
    read = zarr.open(path, mode="r")["mel"][:, :frames]
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, codes)


def _codes_of_any_kind(dtype, frames, seed):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return np.exp(rng.uniform(-80, 80, (128, frames))).astype(np.float32)
    top = np.iinfo(dtype).max
    kinds = [
        lambda n: rng.integers(0, top, n, endpoint=True),
        lambda n: np.cumsum(rng.integers(-3, 4, n)) % (top + 1),
        lambda n: np.full(n, rng.choice([0, 1, top])),
        lambda n: np.where(np.arange(n) % 2, 0, top),
    ]
    return np.stack([kinds[rng.integers(len(kinds))](frames) for _ in range(128)]).astype(dtype)


def test_consecutive_frames_are_those_of_their_clips(make_store):
    store = make_store([30, 10, 20])
    first, last = store.rows[0], store.rows[-1]
    run = store.frames(first.start_frame, last.start_frame + last.frames - first.start_frame)
    for row in store.rows:
        start = row.start_frame - first.start_frame
        np.testing.assert_array_equal(run[:, start : start + row.frames], store.codes(row.index))


@pytest.mark.parametrize(("start", "frames"), [(-1, 5), (0, 0), (0, 10**9)])
def test_frames_outside_the_store_are_an_error(make_store, start, frames):
    with pytest.raises(InvalidInput, match="are not inside"):
        make_store([30]).frames(start, frames)
