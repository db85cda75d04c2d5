"""The layout: finite coordinates, reproducible by the seed, and similar for similar embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from model.page.map import layout


def _random(clips, width=8):
    return np.random.default_rng(0).normal(size=(clips, width)).astype(np.float32)


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 12, 60])
def test_each_clip_has_two_finite_coordinates_that_the_seed_decides(clips):
    coordinates = layout.layout(_random(clips))
    assert coordinates.shape == (clips, 2)
    assert coordinates.dtype == np.float32
    assert np.isfinite(coordinates).all()
    np.testing.assert_array_equal(layout.layout(_random(clips)), coordinates)


@pytest.mark.parametrize("embeddings", [np.ones((9, 4)), np.zeros((9, 4)), _random(9, 1)], ids=["same", "zero", "one"])
def test_embeddings_without_variety_have_finite_coordinates(embeddings):
    assert np.isfinite(layout.layout(embeddings.astype(np.float32))).all()


@pytest.mark.parametrize("clips", [2, 12, 200])
def test_coordinates_fill_a_rectangle_that_is_not_wider_than_high(clips):
    coordinates = layout.layout(_random(clips))
    highest, lowest = coordinates.max(axis=0), -coordinates.min(axis=0)
    np.testing.assert_allclose(highest, lowest, atol=1e-5)
    assert highest[0] <= 1 + 1e-6
    assert highest[1] <= layout.MAX_HEIGHT + 1e-6
    assert highest[0] == pytest.approx(1) or highest[1] == pytest.approx(layout.MAX_HEIGHT)
    assert highest[1] >= highest[0]


def test_similar_clips_lie_together():
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal(size=(20, 8)), 30 + rng.normal(size=(20, 8))]).astype(np.float32)
    coordinates = layout.layout(embeddings)
    groups = coordinates[:20], coordinates[20:]
    distance = np.linalg.norm(groups[0].mean(axis=0) - groups[1].mean(axis=0))
    assert distance > 2 * max(np.linalg.norm(group - group.mean(axis=0), axis=1).mean() for group in groups)


def test_products_of_unit_lengths_are_cosines_and_zeros_stay_zeros():
    scaled = layout.unit_length(np.array([[3, 4], [0, 0], [1, 0]], np.float32))
    np.testing.assert_allclose(scaled @ scaled.T, [[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]], atol=1e-6)
