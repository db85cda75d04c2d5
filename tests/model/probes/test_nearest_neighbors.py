"""Nearest neighbors and their vote, compared with loops over pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model.probes.nearest_neighbors import TEMPERATURE, NearestNeighbors, nearest, weighted_vote


def _unit_vectors(count, seed=0):
    vectors = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 6)))
    return torch.nn.functional.normalize(vectors, dim=1)


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("references", [1, 7, 60])
def test_neighbors_are_those_of_a_loop_over_pairs(references, stable):
    queries, known = _unit_vectors(40), _unit_vectors(references, seed=1)
    neighbors = nearest(queries, known, 10, stable=stable)
    for query, cosines, indices in zip(queries, neighbors.cosines, neighbors.indices, strict=True):
        expected = sorted(((float(query @ other), i) for i, other in enumerate(known)), reverse=True)[:10]
        assert indices.tolist() == [index for _, index in expected]
        assert cosines.tolist() == pytest.approx([cosine for cosine, _ in expected])


def test_excluded_references_come_last_with_a_cosine_of_minus_infinity():
    vectors = _unit_vectors(5)
    neighbors = nearest(vectors, vectors, 5, excluded=torch.eye(5, dtype=torch.bool))
    assert neighbors.indices[:, -1].tolist() == [0, 1, 2, 3, 4]
    assert (neighbors.cosines[:, -1] == -torch.inf).all()
    assert neighbors.cosines[:, :-1].isfinite().all()


def test_equal_cosines_keep_the_order_of_the_references_if_stable():
    vectors = torch.nn.functional.normalize(torch.ones(50, 2), dim=1)
    assert nearest(vectors[:1], vectors, 4, stable=True).indices.tolist() == [[0, 1, 2, 3]]


def test_a_vote_is_the_mean_of_targets_weighted_by_the_exponential_of_the_cosine():
    cosines, indices = [0.9, 0.5, 0.4], [2, 0, 1]
    targets = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.5, 0.5]])
    votes = weighted_vote(NearestNeighbors(torch.tensor([cosines]), torch.tensor([indices])), targets)
    weights = [math.exp(cosine / TEMPERATURE) for cosine in cosines]
    expected = sum(weight * targets[index] for weight, index in zip(weights, indices, strict=True)) / sum(weights)
    torch.testing.assert_close(votes[0], expected)
