"""Features with all layers or tokens: read as they were written, described, and rejected where one is needed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from stores import feature_integrity, feature_tables
from stores.errors import CorruptArtifact, InvalidInput
from stores.feature_layers import select_layers
from stores.feature_parts import FeatureParts
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec

MEL = {"mel": {"mel_spec": MelSpec().to_dict()}, "window_frames": 96, "pool": "none"}
TOKENS = {
    "patches": ["square", "vertical"],
    "start_seconds": [0.0, 0.5],
    "end_seconds": [0.5, 1.0],
    "low_mel": [0, 0],
    "high_mel": [16, 128],
    "low_hz": [0.0, 0.0],
    "high_hz": [400.0, 8000.0],
}
LAYERS = {"layers": [1, 2, 3], "engine": {"name": "eager", "layer": "all"}, "representation": "r-layers"}


def _features(provenance, vectors):
    rows = [ClipRow(i, f"clip-{i}", f"{i}.wav", "g", "train", frames=150, state="written") for i in range(2)]
    spans = Spans(np.array([0, 0, 1]), np.array([0, 1.728, 0]), np.ones(3, np.int64), np.zeros(3, bool))
    embeddings = np.arange(3 * vectors * 4, dtype=np.float32).reshape(3, vectors, 4)
    return FeatureStore(embeddings, [rows[0], rows[0], rows[1]], {**MEL, **provenance}, spans)


@pytest.fixture
def layers():
    return _features(LAYERS, 3)


@pytest.fixture
def tokens():
    return _features({"tokens": TOKENS}, 2)


def test_layers_and_tokens_are_read_as_they_were_written(tmp_path, layers, tokens):
    for features, axis in ((layers, "layers"), (tokens, "tokens")):
        features.write(tmp_path / "f.zarr")
        copy = FeatureStore.read(tmp_path / "f.zarr", any_axis=True)
        np.testing.assert_array_equal(copy.embeddings, features.embeddings)
        assert (copy.axis, dict(copy.provenance)) == (axis, dict(features.provenance))
        assert list(feature_integrity.find_damage(tmp_path / "f.zarr")) == []


def test_a_command_that_needs_one_embedding_rejects_them_with_a_way_out(tmp_path, layers, tokens):
    for features, advice in ((layers, "--layer mean"), (tokens, "extract with --pool mean")):
        features.write(tmp_path / "f.zarr")
        with pytest.raises(InvalidInput, match=f"one for each clip is needed here.*{advice}"):
            FeatureStore.read(tmp_path / "f.zarr")


def test_earlier_versions_reject_the_version_of_the_format(tmp_path, layers):
    layers.write(tmp_path / "f.zarr")
    attributes = json.loads((tmp_path / "f.zarr" / "zarr.json").read_text())["attributes"]["myna"]
    assert attributes["format_version"] == 4  # they read 2 and 3


@pytest.mark.parametrize("change", [{"layers": [1, 2]}, {"layers": "abc"}, {"tokens": {}}, {"layers": [1, 1, 2]}])
def test_an_axis_that_is_not_described_is_rejected(layers, change):
    with pytest.raises(InvalidInput, match=r"layers|tokens"):
        replace(layers, provenance={**layers.provenance, **change})


def test_a_lost_chunk_and_a_foreign_description_are_damage(tmp_path, layers):
    layers.write(tmp_path / "f.zarr")
    metadata = tmp_path / "f.zarr" / "zarr.json"
    original = metadata.read_text()
    metadata.write_text(original.replace('"layers": [', '"layers": [7, '))
    with pytest.raises(CorruptArtifact, match="the embeddings have 3 layers"):
        FeatureStore.read(tmp_path / "f.zarr", any_axis=True)
    metadata.write_text(original)
    (tmp_path / "f.zarr" / "embeddings" / "c" / "0" / "0" / "0").unlink()
    assert [kind for kind, _, _ in feature_integrity.find_damage(tmp_path / "f.zarr")] == ["missing"]


def test_parts_of_layers_become_one_store(tmp_path, layers):
    parts = FeatureParts(tmp_path / "f.zarr", (2, 1), 4, 3)
    assert parts.begin(layers.provenance) == [0, 1]
    for number, block in enumerate(np.split(layers.embeddings, [2])):
        parts.write(number, block)
    store = parts.finish(layers.clips, layers.spans, layers.provenance)
    np.testing.assert_array_equal(store.embeddings, layers.embeddings)


def test_a_layer_is_selected_and_a_range_is_averaged(layers):
    second = select_layers(layers, [2], 2, "r-layer2")
    np.testing.assert_array_equal(second.embeddings, layers.embeddings[:, 1])
    assert second.provenance["engine"]["layer"] == 2
    assert second.provenance["representation"] == "r-layer2"
    assert second.axis is None
    fused = select_layers(layers, [2, 3], "2-3")
    np.testing.assert_allclose(fused.embeddings, layers.embeddings[:, 1:].mean(axis=1))
    with pytest.raises(InvalidInput, match=r"the layers \[1, 2, 3\], and \[4\] are needed"):
        select_layers(layers, [4], 4)


def test_a_table_has_a_row_for_each_layer(tmp_path, layers):
    feature_tables.write(tmp_path / "x.parquet", layers, "parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["layer"].to_pylist() == [1, 2, 3] * 3
    assert table["id"].to_pylist() == ["clip-0"] * 6 + ["clip-1"] * 3
    np.testing.assert_allclose(table["end_seconds"].to_numpy()[::3], [3.072, 4.8, 3.072])
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist()), layers.embeddings.reshape(9, 4))


def test_a_table_of_tokens_states_their_times_in_the_clip_and_their_mel_range(tmp_path, tokens):
    feature_tables.write(tmp_path / "x.parquet", tokens, "parquet")
    second = pq.read_table(tmp_path / "x.parquet").to_pylist()[3]
    assert (second["token"], second["patches"], second["low_mel"], second["high_mel"]) == (1, "vertical", 0, 128)
    assert (second["start_seconds"], second["end_seconds"]) == pytest.approx((2.228, 2.728))
    feature_tables.write(tmp_path / "x.npz", tokens, "npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert content["embeddings"].shape == (3, 2, 4)
        assert content["token_high_hz"].tolist() == [400, 8000]
