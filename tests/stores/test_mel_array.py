"""The metadata of the array must be that of the store, or the store cannot be opened."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr
from numcodecs import blosc
from small_stores import SMALL_GRID, planned_rows, store_settings

from stores import mel_array
from stores.chunk_grid import ChunkGrid
from stores.errors import CorruptArtifact
from stores.mel_store import MelStore
from stores.quantize import Quantizer


def _edit(store, change):
    path = store.path / mel_array.ARRAY_METADATA
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_expected_metadata_is_what_zarr_writes(tmp_path, dtype):
    settings = store_settings(quantizer=Quantizer.from_dtype(dtype).to_dict())
    store = MelStore.create(tmp_path / "m.zarr", planned_rows([60, 60]), settings, SMALL_GRID)
    assert mel_array.find_metadata_damage(store.path, store.attributes, 128) == ""
    assert "in shape" in mel_array.find_metadata_damage(store.path, store.attributes, 129)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("frames", [1, 2048, 3 * 2048 - 1, 4 * 2048])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_zarr_shard_has_the_bytes_that_zarr_writes(tmp_path, dtype, frames, order):
    settings = store_settings(quantizer=Quantizer.from_dtype(dtype).to_dict())
    grid = ChunkGrid(2048, 8192)
    store = MelStore.create(tmp_path / "m.zarr", planned_rows([frames], grid), settings, grid)
    codes = np.zeros((128, 8192), dtype)
    codes[:, :frames] = np.random.default_rng(frames).normal(100, 3, (128, frames))
    codes[:, 2048:4096] = 0  # a silent chunk
    zarr.open_array(store.path / "mel", mode="r+")[:, :8192] = codes
    (file,) = store.shard_files(0, 8192)
    expected = file.read_bytes()
    mel_array.write_shard(file, np.asarray(codes[:, :frames], order=order), grid)
    assert file.read_bytes() == expected


def test_blosc_uses_no_threads_which_would_write_blocks_in_a_random_order():
    assert not blosc.use_threads


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("chunk_key_encoding", lambda c: c["chunk_key_encoding"]["configuration"].update(separator=".")),
        ("data_type", lambda c: c.update(data_type="uint16")),
        ("fill_value", lambda c: c.update(fill_value=1)),
        ("chunk_grid", lambda c: c["chunk_grid"]["configuration"].update(chunk_shape=[128, 1 << 40])),
        ("codecs", lambda c: c["codecs"][0]["configuration"].update(chunk_shape=[128, 32])),
        ("codecs", lambda c: c["codecs"][0]["configuration"]["codecs"].pop(0)),
        ("shape", lambda c: c.update(shape=[64, 6400])),
        ("shape", lambda c: c.update(shape=[128, 64])),
        ("shape", lambda c: c.update(shape=[128, 1 << 62])),
        ("shape", lambda c: c.pop("shape")),
        ("dimension_names", lambda c: c.update(dimension_names=["frame", "mel"])),
    ],
)
def test_changed_metadata_is_an_error_when_a_store_is_opened(make_store, key, change):
    store = make_store([40, 40, 40])
    _edit(store, change)
    with pytest.raises(CorruptArtifact, match=rf"does not match this store in .*{key}.*pipeline\.verify .* --repair"):
        MelStore.open(store.path)


def test_the_array_of_another_store_is_an_error(make_store):
    store = make_store([40])
    other = make_store([40], "other.zarr", quantizer=Quantizer.from_dtype("uint8").to_dict(), grid=SMALL_GRID)
    other_grid = make_store([40], "grid.zarr", grid=type(SMALL_GRID)(32, 128))
    shutil.copy(other_grid.path / mel_array.ARRAY_METADATA, store.path / mel_array.ARRAY_METADATA)
    with pytest.raises(CorruptArtifact, match="chunk_grid"):
        MelStore.open(store.path)
    assert MelStore.open(other.path)


def test_metadata_that_is_no_object_is_an_error(make_store):
    store = make_store([40])
    (store.path / mel_array.ARRAY_METADATA).write_text("[]")
    with pytest.raises(CorruptArtifact, match="not an object"):
        MelStore.open(store.path)


def test_a_grid_with_absurd_zarr_shards_is_an_error(make_store):
    store = make_store([40])
    path = store.path / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["myna"]["grid"] = {"chunk_frames": 1 << 40, "zarr_shard_frames": 1 << 40}
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifact, match="impossible grid"):
        MelStore.open(store.path)
