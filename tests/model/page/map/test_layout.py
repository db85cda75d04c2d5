"""Places on the map: finite, decided by the seed, and near where embeddings are alike."""

from __future__ import annotations

import numpy as np
import pytest

from model.page.map import layout


def _random(clips, width=8):
    return np.random.default_rng(0).normal(size=(clips, width)).astype(np.float32)


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 12, 60])
def test_a_layout_has_two_finite_coordinates_for_each_clip_and_the_seed_decides_it(clips):
    places = layout.layout(_random(clips))
    assert places.shape == (clips, 2)
    assert places.dtype == np.float32
    assert np.isfinite(places).all()
    np.testing.assert_array_equal(layout.layout(_random(clips)), places)


@pytest.mark.parametrize("embeddings", [np.ones((9, 4)), np.zeros((9, 4)), _random(9, 1)], ids=["same", "zero", "one"])
def test_embeddings_without_variety_still_have_places(embeddings):
    assert np.isfinite(layout.layout(embeddings.astype(np.float32))).all()


@pytest.mark.parametrize("clips", [2, 12, 200])
def test_places_fill_a_rectangle_that_is_at_least_as_high_as_wide(clips):
    places = layout.layout(_random(clips))
    width, height = places.max(axis=0), -places.min(axis=0)
    np.testing.assert_allclose(width, height, atol=1e-5)
    assert width[0] <= 1 + 1e-6
    assert width[1] <= layout.TALLEST + 1e-6
    assert width[0] == pytest.approx(1) or width[1] == pytest.approx(layout.TALLEST)
    assert width[1] >= width[0]


def test_clips_that_are_alike_lie_together():
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal(size=(20, 8)), 30 + rng.normal(size=(20, 8))]).astype(np.float32)
    places = layout.layout(embeddings)
    first, second = places[:20], places[20:]
    apart = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert apart > 2 * max(np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (first, second))


def test_unit_lengths_give_cosines_and_zeros_stay_zeros():
    scaled = layout.unit_length(np.array([[3, 4], [0, 0], [1, 0]], np.float32))
    np.testing.assert_allclose(scaled @ scaled.T, [[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]], atol=1e-6)
