import numpy as np

from model.evidence import albums


def _passages(separation, seed=0):
    """Return features of four passages for each of 36 recordings of three albums."""
    rng = np.random.default_rng(seed)
    album_of = np.repeat([0, 1, 2], 12)
    recordings = np.repeat(np.arange(36), 4)
    centers = separation * rng.normal(size=(3, 6))
    features = centers[album_of[recordings]] + rng.normal(size=(36, 6))[recordings] + rng.normal(size=(144, 6))
    return features.astype(np.float32), recordings, album_of


def test_separate_albums_are_recognized_and_equal_ones_are_not():
    separate = albums.classify(*_passages(8.0), labeled=5, draws=4)
    equal = albums.classify(*_passages(0.0), labeled=5, draws=4)
    assert np.average(separate.correct, weights=separate.weights) > 0.95
    assert 0.1 < np.average(equal.correct, weights=equal.weights) < 0.6


def test_labeled_recordings_are_not_predicted():
    # every recording is far from every other, so only a recording that was trained on could be recognized
    rng = np.random.default_rng(1)
    recordings, album_of = np.repeat(np.arange(24), 3), np.tile([0, 1], 12)
    features = (100 * rng.normal(size=(24, 200)))[recordings].astype(np.float32)
    found = albums.classify(features, recordings, album_of, labeled=5, draws=10)
    assert np.average(found.correct, weights=found.weights) < 0.7


def test_albums_count_equally_and_small_ones_are_left_out():
    features, recordings, album_of = _passages(1.0)
    kept = np.isin(album_of[recordings], [0, 1]) | (recordings < 30)
    smaller = np.unique(recordings[kept])
    found = albums.classify(features[kept], recordings[kept], album_of[: len(smaller)], labeled=5, draws=3)
    assert set(album_of[found.recordings]) == {0, 1}  # the third album has six recordings, and seven are needed
    totals = [found.weights[album_of[found.recordings] == album].sum() for album in (0, 1)]
    np.testing.assert_allclose(totals, 1)
    assert albums.classify(features, recordings, album_of, labeled=11, draws=1) is None
