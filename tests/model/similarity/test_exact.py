"""Exact search is what sorting all cosines in float64 gives."""

from __future__ import annotations

import numpy as np
import pytest

from model.similarity import exact
from stores.errors import InvalidInput


def _matrix(rows=3_000, width=24, seed=0):
    return exact.unit_rows(np.random.default_rng(seed).normal(size=(rows, width)) + 1)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_nearest_rows_are_those_of_a_full_sort(kind):
    matrix = _matrix().astype(kind)
    queries = _matrix(5, seed=1)
    found = exact.search(queries, matrix, 10)
    products = queries.astype(np.float64) @ matrix.T.astype(np.float64)
    assert np.array_equal(found.rows, np.argsort(-products, axis=1, kind="stable")[:, :10])
    assert np.allclose(found.cosines, -np.sort(-products, axis=1)[:, :10], atol=1e-6)


def test_float16_rows_that_are_nearly_equal_are_ranked_in_float32():
    matrix = np.repeat(_matrix(1), 200, axis=0)
    matrix = exact.unit_rows(matrix + 1e-3 * np.random.default_rng(2).normal(size=matrix.shape)).astype(np.float16)
    query = _matrix(1)
    products = matrix.astype(np.float64) @ query[0]
    found = products[exact.search(query, matrix, 20).rows[0]]
    assert np.allclose(found, np.sort(products)[::-1][:20], atol=1e-7, rtol=0)


def test_equal_cosines_are_in_the_order_of_the_rows():
    matrix = np.tile(np.eye(3, dtype=np.float32), (4, 1))
    assert exact.search(matrix[:1], matrix, 4).rows[0].tolist() == [0, 3, 6, 9]


def test_excluded_rows_are_not_found_and_fewer_are_returned():
    matrix = _matrix(6)
    excluded = np.array([True, False, True, True, False, True])
    assert sorted(exact.search(matrix[:1], matrix, 5, excluded).rows[0].tolist()) == [1, 4]


def test_a_query_of_another_width_is_an_error_that_says_what_to_do():
    with pytest.raises(InvalidInput, match=r"the query has 5 numbers, but the embeddings have 24; embed the query"):
        exact.search(np.ones((1, 5), np.float32), _matrix(), 3)
