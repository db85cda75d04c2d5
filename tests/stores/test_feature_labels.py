"""Labels, splits and groups of features are those of the mel store when they are used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stores import feature_labels
from stores.errors import DigestMismatch, MissingArtifact
from stores.features import FeatureStore, Spans


def _written(store, path, rows=None, repeats=1):
    """Write features of a mel store, and return them as they are read."""
    rows = list(store.rows.select(state="written")) if rows is None else rows
    embeddings = np.arange(2 * repeats * len(rows), dtype=np.float32).reshape(-1, 2)
    clips = np.repeat(np.arange(len(rows)), repeats)
    spans = Spans(clips, np.zeros(len(clips)), np.ones(len(clips), np.int64), np.zeros(len(clips), bool))
    provenance = {"digest": "d", "store_digest": store.digest(), "mel": store.value_settings()}
    FeatureStore(embeddings, [rows[i] for i in clips], provenance, spans, store.path).write(path)
    return FeatureStore.read(path)


def _relabel(store, label="rock", split="test"):
    store.update([replace(row, labels={"genre": label}, split=split, group=f"by-{row.id}") for row in store.rows])


@pytest.mark.parametrize("repeats", [1, 3])
def test_labels_that_an_ingest_changed_take_effect_without_an_extraction(make_store, tmp_path, repeats):
    store = make_store([40, 0, 50])
    features = _written(store, tmp_path / "f.zarr", repeats=repeats)
    assert not any(row.labels or row.split or row.group for row in features.rows)
    for label in ("rock", "jazz"):
        _relabel(store, label)
        joined = feature_labels.join(FeatureStore.read(tmp_path / "f.zarr"), store, tmp_path / "f.zarr")
        expected = [store.rows[index] for index in (0, 2) for _ in range(repeats)]
        assert joined.rows == expected
        assert {row.labels["genre"] for row in joined.rows} == {label}
    assert np.array_equal(joined.embeddings, features.embeddings)


def test_the_mel_store_is_found_by_what_the_features_record(make_store, tmp_path):
    store = make_store([40, 50])
    features = _written(store, tmp_path / "deep" / "f.zarr")
    assert feature_labels.open_mel_store(features, tmp_path / "deep" / "f.zarr").path == store.path
    store.path.rename(tmp_path / "moved.zarr")
    with pytest.raises(MissingArtifact, match=r"none is at .*made\.zarr, which .*f\.zarr records.*--store"):
        feature_labels.open_mel_store(features, tmp_path / "deep" / "f.zarr")


def _changed(index, **values):
    return lambda row: replace(row, **values) if row.index == index else row


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed(2, source_digest="x"), "1 clip whose audio or mel has changed, e.g. 'clip-2'"),
        (lambda row: replace(row, codes_digest="x"), "3 clips whose audio or mel has changed, e.g. 'clip-0'"),
        (lambda row: replace(row, state="unlisted") if row.index else row, "2 clips whose mel is gone, e.g. 'clip-1'"),
        (_changed(1, id="other"), "1 clip whose mel is gone, e.g. 'clip-1', 1 clip that was added, e.g. 'other'"),
    ],
)
def test_features_of_changed_audio_are_stale_and_the_error_says_which(make_store, tmp_path, change, message):
    store = make_store([40, 50, 60])
    features = _written(store, tmp_path / "f.zarr")
    rows = [change(row) for row in store.rows]
    features = replace(features, provenance={**features.provenance, "store_digest": "of an earlier store"})
    store.rows = rows
    with pytest.raises(DigestMismatch, match=rf"f\.zarr is stale, because .*made\.zarr has changed.*{message}"):
        feature_labels.join(features, store, tmp_path / "f.zarr")


def test_features_of_another_mel_are_stale(make_store, tmp_path):
    features = _written(make_store([40]), tmp_path / "f.zarr")
    other = make_store([40], "other.zarr", preprocessing={"decoder": "another"})
    with pytest.raises(DigestMismatch, match="has changed since: preprocessing"):
        feature_labels.join(features, other, tmp_path / "f.zarr")


def test_added_clips_make_features_stale(make_store, tmp_path):
    store = make_store([40, 50])
    features = _written(store, tmp_path / "f.zarr", list(store.rows)[:1])
    features = replace(features, provenance={**features.provenance, "store_digest": "before"})
    with pytest.raises(DigestMismatch, match=r"since: 1 clip that was added, e.g. 'clip-1'"):
        feature_labels.join(features, store, tmp_path / "f.zarr")
