from dataclasses import replace

import numpy as np
import pytest
import tiny
from small_stores import store_maker

from model.evidence.compared_representations import (
    ComparedRepresentation,
    baselines,
    mean_and_deviation_log_mel,
    of_encoder,
    of_encoder_with_deviation,
)
from model.evidence.comparison import Comparison, report
from model.inference import checkpoints
from stores.chunk_grid import ChunkGrid
from stores.mel_store import MelStore


@pytest.fixture
def store(tmp_path):
    """Fourteen recordings of 70 s, seven in each of two albums."""
    made = store_maker(tmp_path)([2190] * 14, grid=ChunkGrid(chunk_frames=64, zarr_shard_frames=256))
    rows = [replace(row, id=f"{'ab'[row.index % 2]}/{row.index}.ogg") for row in made.rows]
    return MelStore(made.path, made.attributes, rows)


@pytest.fixture
def rendered(tmp_path):
    """Thirty-six clips of nine pieces, three in each split, with keys and genres."""
    splits = [("train", "valid", "test")[number // 12] for number in range(36)]
    store = store_maker(tmp_path)([96] * 36, "rendered", splits)
    labels = [{"key": ("C major", "G major")[i % 2], "genre": "ab"[i // 2 % 2]} for i in range(36)]
    rows = [replace(row, labels=labels[i], group=f"piece {i // 4}") for i, row in enumerate(store.rows)]
    return MelStore(store.path, store.attributes, rows)


def _numbered(store):
    """Return features that name the recording and, more weakly, the album, and hold its passages together."""
    rows = list(store.rows)
    names = sorted({row.group for row in rows})
    features = np.zeros((len(rows), len(names) + 8))
    for i, row in enumerate(rows):
        features[i, names.index(row.group)] = 1
        features[i, len(names) :] = 0.5 * (row.labels["album"] == "b")
    return features.astype(np.float32)


def _meaningless(store):
    return np.random.default_rng(len(store.rows[0].id)).normal(size=(len(store.rows), 6)).astype(np.float32)


def test_features_that_name_recording_and_album_are_perfect_and_significantly_better(store):
    comparison = Comparison(store, {"mp3": store})
    measured = {
        "good": comparison.measure(ComparedRepresentation(_numbered)),
        "noise": comparison.measure(ComparedRepresentation(_meaningless)),
    }
    result = report(measured, "good")
    good = result["scores"]["good"]
    assert set(good) == {
        *("track-recall@1", "track-recall@5", "track-map", "album-recall@1", "album-recall@5", "album-map"),
        *("albums-5-labels", "same-neighbor-mp3", "same-neighbor-shifted"),
    }
    assert {measure: values[0] for measure, values in good.items()} == dict.fromkeys(good, 1.0)
    mean, low, high = result["differences"]["noise"]["track-map"]
    assert 0 < low < mean < high
    assert mean == pytest.approx(1 - result["scores"]["noise"]["track-map"][0], abs=1e-4)


def test_rendered_clips_are_scored_by_probes_and_resampled_by_piece(store, rendered):
    def numbered_or_named(view):
        keys = np.array([row.labels.get("key", "") == "G major" for row in view.rows])
        return np.stack([keys, ~keys], axis=1).astype(np.float32) if view is rendered else _numbered(view)

    comparison = Comparison(store, rendered=rendered)
    assert comparison.rendered_count == 36
    values = comparison.measure(ComparedRepresentation(numbered_or_named))
    assert values["rendered-key"].mean == 1
    assert values["rendered-key"].weights.tolist() == [4, 4, 4]
    noise = comparison.measure(ComparedRepresentation(_meaningless))
    assert noise["rendered-genre"].mean < 1
    assert not [name for name in Comparison(store).measure(ComparedRepresentation(_numbered)) if "rendered" in name]


def test_transforms_are_fitted_to_the_passages_and_applied_to_their_copies(store):
    fitted = []

    def fit(features):
        fitted.append(features)
        return lambda other: other - features.mean(axis=0)

    comparison = Comparison(store, {"mp3": store})
    values = comparison.measure(ComparedRepresentation(_numbered, fit))
    assert len(fitted) == 1
    assert values["same-neighbor-mp3"].mean == 1


def test_intervals_resample_whole_recordings(store):
    comparison = Comparison(store)
    values = comparison.measure(ComparedRepresentation(_meaningless))["track-map"]
    once = values.interval()
    doubled = replace(
        values, **{name: np.tile(getattr(values, name), 2) for name in ("values", "recordings", "weights")}
    ).interval()
    assert (once.low, once.high) == pytest.approx((doubled.low, doubled.high))


@pytest.mark.slow
def test_baselines_of_the_mel_have_their_documented_widths(store):
    comparison = Comparison(store)
    view = comparison._store
    widths = {name: baselines()[name].compute(view).shape[1] for name in ("mean-log-mel", "log-mel", "mfcc")}
    assert widths == {"mean-log-mel": 128, "log-mel": 256, "mfcc": 120}
    whitened = baselines()["log-mel-whitened"]
    features = whitened.compute(view)
    reduced = whitened.fit(features)(features)
    np.testing.assert_allclose(np.cov(reduced.T), np.eye(reduced.shape[1]), atol=1e-3)
    mel = np.log1p(view.clip(0))
    expected = np.concatenate([mel.mean(axis=1), mel.std(axis=1)])
    np.testing.assert_allclose(mean_and_deviation_log_mel(view, list(view.rows))[0], expected, rtol=1e-5)


@pytest.mark.slow
def test_an_encoder_with_deviation_begins_with_its_embedding(store, tmp_path):
    loaded = checkpoints.load(tiny.write_run(tmp_path / "run"))
    view = Comparison(store)._store
    features = of_encoder_with_deviation(loaded).compute(view)
    embeddings = of_encoder(loaded).compute(view)
    width = embeddings.shape[1]
    assert features.shape == (len(view.rows), 2 * width)
    np.testing.assert_allclose(features[:, :width], embeddings, atol=1e-5)
    assert (features[:, width:] > 0).all()
