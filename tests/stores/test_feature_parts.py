"""Unfinished feature stores: parts are complete or missing, and are continued only with the same settings."""

from __future__ import annotations

import numpy as np
import pytest

from stores import feature_array
from stores.errors import CorruptArtifact, DigestMismatch
from stores.feature_parts import FeatureParts
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow

PROVENANCE = {"engine": {"name": "eager"}, "batch": (1, 2), "digest": "d"}
SIZES = (3, 1, 4)


def _rows(count):
    return [ClipRow(i, f"clip-{i}", f"{i}.wav", "g", "", state="written") for i in range(count)]


def _parts(path, sizes=SIZES, width=5):
    return FeatureParts(path / "f.zarr", sizes, width)


def _embeddings(sizes=SIZES, width=5):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, width)).astype(np.float32) for size in sizes]


def _finish(parts, provenance=PROVENANCE):
    count = sum(parts.sizes)
    return parts.finish(_rows(count), Spans.one_per_clip(count), provenance)


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 8, 4096])
def test_parts_become_one_store_in_their_order_however_it_is_chunked(tmp_path, monkeypatch, chunk_rows):
    monkeypatch.setattr(feature_array, "CHUNK_ROWS", chunk_rows)
    parts = _parts(tmp_path)
    assert parts.begin(PROVENANCE) == [0, 1, 2]
    for number in (2, 0, 1):
        parts.write(number, _embeddings()[number])
    store = _finish(parts)
    np.testing.assert_array_equal(store.embeddings, np.concatenate(_embeddings()))
    assert store.provenance["engine"] == {"name": "eager"}
    assert [row.id for row in FeatureStore.read(tmp_path / "f.zarr").rows] == [row.id for row in _rows(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["f.zarr"]


def test_after_a_kill_only_missing_parts_remain(tmp_path):
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    parts.write(1, _embeddings()[1])
    (parts.folder / ".part-00000002.npy.tmp-77").write_bytes(b"half of it")
    assert _parts(tmp_path).begin(PROVENANCE) == [0, 2]


def test_writing_a_part_twice_leaves_the_same_bytes(tmp_path):
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    parts.write(0, _embeddings()[0])
    first = (parts.folder / "part-00000000.npy").read_bytes()
    parts.write(0, _embeddings()[0])
    assert (parts.folder / "part-00000000.npy").read_bytes() == first


def test_continuing_with_another_engine_is_an_error_that_names_both(tmp_path):
    _parts(tmp_path).begin(PROVENANCE)
    with pytest.raises(DigestMismatch, match=r"engine: started with .*'eager'.*, now .*'onnx'.*remove .*parts"):
        _parts(tmp_path).begin({**PROVENANCE, "engine": {"name": "onnx"}, "digest": "e"})


def test_continuing_with_parts_of_other_sizes_is_an_error(tmp_path):
    _parts(tmp_path).begin(PROVENANCE)
    with pytest.raises(DigestMismatch, match="parts have other sizes"):
        _parts(tmp_path, sizes=(4, 4)).begin(PROVENANCE)


def test_a_damaged_plan_is_started_again(tmp_path):
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    parts.write(0, _embeddings()[0])
    (parts.folder / "plan.json").write_text("{")
    assert parts.begin(PROVENANCE) == [0, 1, 2]


@pytest.mark.parametrize("content", [b"no array", b""])
def test_a_damaged_part_is_an_error(tmp_path, content):
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    for number, embeddings in enumerate(_embeddings()):
        parts.write(number, embeddings)
    (parts.folder / "part-00000001.npy").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"part-00000001\.npy cannot be read"):
        _finish(parts)


def test_a_part_of_another_size_is_an_error(tmp_path):
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    for number, embeddings in enumerate(_embeddings()):
        parts.write(number, embeddings)
    np.save(parts.folder / "part-00000001.npy", np.zeros((2, 5), np.float32))
    with pytest.raises(CorruptArtifact, match=r"it is float32 \(2, 5\), and float32 \(1, 5\) is needed"):
        _finish(parts)


def test_the_old_store_stays_until_all_parts_are_joined(tmp_path):
    old = FeatureStore(np.ones((1, 5), np.float32), _rows(1), {"digest": "old"})
    old.write(tmp_path / "f.zarr")
    parts = _parts(tmp_path)
    parts.begin(PROVENANCE)
    parts.write(0, _embeddings()[0])
    assert FeatureStore.read(tmp_path / "f.zarr").provenance["digest"] == "old"
