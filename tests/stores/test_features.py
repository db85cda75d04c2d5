"""The feature store: embeddings, the clip and span of each, and the provenance."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from stores import manifest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow

PROVENANCE = {"encoder": "abc", "settings": {"hop_frames": 96, "types": ["square"]}}


def _rows(count):
    return [
        ClipRow(i, f"clip-{i}", f"{i}.wav", "g", "train", {"key": "C major"}, state="written") for i in range(count)
    ]


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
    assert copy.rows == original.rows
    assert copy.provenance == {"format_version": 2, **PROVENANCE}


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
    assert copy.rows == rows
    assert copy.clips == clips
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
        lambda path: manifest.write(path / "clips.parquet", _rows(4)),
        lambda path: manifest.write(path / "clips.parquet", _rows(6)),
    ],
)
def test_a_damaged_store_is_an_error(tmp_path, damage):
    _features().write(tmp_path / "f.zarr")
    damage(tmp_path / "f.zarr")
    with pytest.raises(CorruptArtifact):
        FeatureStore.read(tmp_path / "f.zarr")
