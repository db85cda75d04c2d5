"""The feature store: embeddings, the clip and span of each, and the provenance."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from stores import features as feature_store
from stores import manifest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore, Spans, read_provenance
from stores.manifest import ClipRow

PROVENANCE = {"encoder": "abc", "settings": {"hop_frames": 96, "types": ["square"]}}


def _rows(count):
    return [
        ClipRow(i, f"clip-{i}", f"{i}.wav", "g", "train", {"key": "C major"}, source_digest=f"digest-{i}")
        for i in range(count)
    ]


def _identities(rows):
    """Return what a feature store keeps of rows: no label, no split, no group."""
    return [replace(row, group="", split="", labels={}) for row in rows]


def _features(count=5, width=7, seed=0):
    embeddings = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return FeatureStore(embeddings, _rows(count), PROVENANCE)


@pytest.mark.parametrize(("count", "width"), [(1, 1), (5, 7), (5000, 3)])
def test_features_are_read_as_they_were_written(tmp_path, count, width):
    original = _features(count, width)
    original.write(tmp_path / "f.zarr")
    copy = FeatureStore.read(tmp_path / "f.zarr")
    np.testing.assert_array_equal(copy.embeddings, original.embeddings)
    assert copy.embeddings.dtype == np.float32
    assert copy.rows == _identities(original.rows)
    assert copy.provenance == PROVENANCE


def test_plain_zarr_reads_the_embeddings(tmp_path):
    _features().write(tmp_path / "f.zarr")
    np.testing.assert_array_equal(zarr.open(tmp_path / "f.zarr", mode="r")["embeddings"][:], _features().embeddings)


def test_writing_again_replaces_the_store_and_leaves_no_files_beside_it(tmp_path):
    _features(seed=0).write(tmp_path / "f.zarr")
    _features(3, 4, seed=1).write(tmp_path / "f.zarr")
    assert FeatureStore.read(tmp_path / "f.zarr").embeddings.shape == (3, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["f.zarr"]


def test_a_kill_while_writing_leaves_the_old_store(tmp_path, monkeypatch):
    _features(seed=0).write(tmp_path / "f.zarr")
    with monkeypatch.context() as patched:
        patched.setattr("stores.manifest.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _features(seed=1).write(tmp_path / "f.zarr")
    np.testing.assert_array_equal(FeatureStore.read(tmp_path / "f.zarr").embeddings, _features(seed=0).embeddings)
    _features(seed=1).write(tmp_path / "f.zarr")
    np.testing.assert_array_equal(FeatureStore.read(tmp_path / "f.zarr").embeddings, _features(seed=1).embeddings)


def test_each_embedding_needs_one_row():
    with pytest.raises(InvalidInput, match=r"\(5, 7\) embeddings for 4 clips"):
        FeatureStore(_features().embeddings, _rows(4), {})
    with pytest.raises(InvalidInput, match="one row each"):
        FeatureStore(np.zeros(5, np.float32), _rows(5), {})


def test_spans_of_windows_are_read_as_they_were_written(tmp_path):
    clips = _rows(3)
    spans = Spans(np.array([0, 1, 1, 2]), np.array([0, 0, 3.072, 0]), np.ones(4, np.int64), np.arange(4) == 3)
    rows = [clips[i] for i in spans.clip]
    original = FeatureStore(_features(4).embeddings, rows, PROVENANCE, spans)
    assert original.clips == clips
    original.write(tmp_path / "f.zarr")
    copy = FeatureStore.read(tmp_path / "f.zarr")
    assert copy.rows == _identities(rows)
    assert copy.clips == _identities(clips)
    for name in ("clip", "start_seconds", "windows", "padded"):
        np.testing.assert_array_equal(getattr(copy.spans, name), getattr(spans, name))


def test_each_embedding_needs_one_span():
    with pytest.raises(InvalidInput, match="4 spans for 5 embeddings"):
        FeatureStore(_features().embeddings, _rows(5), {}, Spans.one_per_clip(4))


def test_a_store_without_clips_is_an_error():
    with pytest.raises(InvalidInput, match=r"at least 1 clip \(got 0\)"):
        FeatureStore(np.zeros((0, 7), np.float32), [], {})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_an_error_that_names_its_clip(bad):
    embeddings = _features().embeddings
    embeddings[3, 2] = bad
    with pytest.raises(InvalidInput, match="'clip-3' is not finite"):
        FeatureStore(embeddings, _rows(5), {})


def test_a_missing_store_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(MissingArtifact, match=r"python -m model\.extract"):
        FeatureStore.read(tmp_path / "none.zarr")


def _break_version(path):
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"]["myna"]["format_version"] = 1
    (path / "zarr.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        _break_version,
        lambda path: (path / "zarr.json").write_text("{"),
        lambda path: (path / "zarr.json").write_text("[]"),
        lambda path: (path / "zarr.json").unlink(),
        lambda path: shutil.rmtree(path / "embeddings"),
        lambda path: (path / "clips.parquet").write_bytes(b"no parquet"),
        lambda path: (path / "spans.parquet").write_bytes(b"no parquet"),
        lambda path: (path / "spans.parquet").unlink(),
        lambda path: manifest.write(path / "clips.parquet", _rows(4), feature_store._CLIP_SCHEMA),
        lambda path: manifest.write(path / "clips.parquet", _rows(6), feature_store._CLIP_SCHEMA),
        lambda path: manifest.write(path / "clips.parquet", _rows(5)),
    ],
)
def test_a_damaged_store_is_an_error(tmp_path, damage):
    _features().write(tmp_path / "f.zarr")
    damage(tmp_path / "f.zarr")
    with pytest.raises(CorruptArtifact):
        FeatureStore.read(tmp_path / "f.zarr")


CHUNK = "embeddings/c/1/0"


@pytest.mark.parametrize("byte", [0, 100, -5, -1])
def test_a_flipped_byte_of_a_chunk_is_an_error(tmp_path, byte):
    _features(5000, 3).write(tmp_path / "f.zarr")
    content = bytearray((tmp_path / "f.zarr" / CHUNK).read_bytes())
    content[byte] ^= 1
    (tmp_path / "f.zarr" / CHUNK).write_bytes(content)
    with pytest.raises(CorruptArtifact, match="extract again"):
        FeatureStore.read(tmp_path / "f.zarr")


def test_a_lost_chunk_is_an_error_and_no_zeros(tmp_path):
    _features(5000, 3).write(tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / CHUNK).unlink()
    with pytest.raises(CorruptArtifact, match=r"c/1/0 is missing, so that embeddings are lost; extract again"):
        FeatureStore.read(tmp_path / "f.zarr")


def test_a_chunk_of_another_store_is_an_error_although_its_checksum_is_right(tmp_path):
    for seed, name in enumerate(("f.zarr", "g.zarr")):
        _features(5000, 3, seed).write(tmp_path / name)
    shutil.copy(tmp_path / "g.zarr" / CHUNK, tmp_path / "f.zarr" / CHUNK)
    with pytest.raises(CorruptArtifact, match="does not hold the data that were written"):
        FeatureStore.read(tmp_path / "f.zarr")


@pytest.mark.parametrize("name", ["clips.parquet", "spans.parquet"])
def test_clips_in_another_order_or_of_another_store_are_an_error(tmp_path, name):
    store = _features()
    spans = Spans(np.arange(5), np.ones(5), np.ones(5, np.int64), np.zeros(5, bool))
    store.write(tmp_path / "f.zarr")
    FeatureStore(store.embeddings, store.rows[::-1], PROVENANCE, spans).write(tmp_path / "g.zarr")
    shutil.copy(tmp_path / "g.zarr" / name, tmp_path / "f.zarr" / name)
    with pytest.raises(CorruptArtifact, match="does not hold the data that were written"):
        FeatureStore.read(tmp_path / "f.zarr")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [5, 2**40]),
        ("shape", [2**40, 7]),
        ("shape", [5]),
        ("shape", [5, 7.0]),
        ("data_type", "int8"),
        ("fill_value", 1.0),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [1, 7]}}),
        ("codecs", [{"name": "bytes", "configuration": {"endian": "little"}}]),
    ],
)
def test_metadata_that_this_package_does_not_write_is_an_error_before_anything_is_allocated(
    tmp_path, monkeypatch, key, value
):
    _features().write(tmp_path / "f.zarr")
    path = tmp_path / "f.zarr" / "embeddings" / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    monkeypatch.setattr(feature_store, "read_embeddings", lambda *_: pytest.fail("it was read"))
    with pytest.raises(CorruptArtifact, match="extract again"):
        FeatureStore.read(tmp_path / "f.zarr")


def test_the_same_features_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        replace(_features(), mel_store=tmp_path / folder / "m.zarr").write(tmp_path / folder / "f.zarr")
    digests = [
        {
            path.relative_to(tmp_path / folder): hashlib.md5(path.read_bytes()).digest()
            for path in (tmp_path / folder / "f.zarr").rglob("*")
            if path.is_file()
        }
        for folder in ("a", "b")
    ]
    assert digests[0] == digests[1]


def test_the_path_of_the_mel_store_is_recorded_relative_to_the_features(tmp_path):
    replace(_features(), mel_store=tmp_path / "a" / "m.zarr").write(tmp_path / "a" / "f.zarr")
    (tmp_path / "a").rename(tmp_path / "b")
    assert FeatureStore.read(tmp_path / "b" / "f.zarr").mel_store == tmp_path / "b" / "m.zarr"


def write_unchecked(path, features):
    """Write features as the version without checksums did."""
    path.mkdir()
    attributes = {**features.provenance, "format_version": 2}
    group = zarr.open_group(path, mode="w", zarr_format=3, attributes={"myna": attributes})
    shape = features.embeddings.shape
    array = group.create_array("embeddings", shape=shape, dtype="float32", chunks=(min(4096, shape[0]), shape[1]))
    array[:] = features.embeddings
    manifest.write(path / "clips.parquet", features.clips, manifest.SCHEMA_3)
    pq.write_table(features.spans.to_table(), path / "spans.parquet", compression="zstd")


def test_a_store_of_the_version_before_is_read_with_a_note(tmp_path, capsys):
    write_unchecked(tmp_path / "f.zarr", _features())
    copy = FeatureStore.read(tmp_path / "f.zarr")
    assert capsys.readouterr().err.startswith(f"note: {tmp_path / 'f.zarr'} was made by an earlier version of Myna")
    np.testing.assert_array_equal(copy.embeddings, _features().embeddings)
    assert copy.rows == _rows(5)
    assert copy.provenance == PROVENANCE


def test_a_lost_chunk_of_the_version_before_is_an_error(tmp_path):
    write_unchecked(tmp_path / "f.zarr", _features())
    (tmp_path / "f.zarr" / "embeddings" / "c" / "0" / "0").unlink()
    with pytest.raises(CorruptArtifact, match="embeddings are lost"):
        FeatureStore.read(tmp_path / "f.zarr")


def test_the_provenance_is_read_without_the_data(tmp_path):
    _features().write(tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / "embeddings" / "c" / "0" / "0").unlink()
    assert read_provenance(tmp_path / "f.zarr") == PROVENANCE
    with pytest.raises(MissingArtifact):
        read_provenance(tmp_path / "none.zarr")


def test_a_store_from_before_clips_could_be_transposed_is_read(tmp_path, monkeypatch):
    features = _features()
    with monkeypatch.context() as earlier:
        earlier.setattr("stores.features._CLIP_SCHEMA", feature_store._EARLIER_CLIP_SCHEMA)
        digest = feature_store._data_digest
        earlier.setattr("stores.features._data_digest", lambda *a: digest(*a, names=feature_store._EARLIER_IDENTITY))
        features.write(tmp_path / "x.features.zarr")
    read = FeatureStore.read(tmp_path / "x.features.zarr")
    assert [row.id for row in read.rows] == [row.id for row in features.rows]
    assert np.array_equal(read.embeddings, features.embeddings)
