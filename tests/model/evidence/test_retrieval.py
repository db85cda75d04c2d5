import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from model.evidence.retrieval import nearest_other, retrieve


@pytest.fixture
def labeled():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(9), [1, 2, 2, 3, 4, 4, 5, 6, 3])
    features = rng.normal(size=(len(labels), 8)) + rng.normal(size=(9, 8))[labels]
    return features.astype(np.float32), labels


def _cosines(features):
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return unit @ unit.T


def test_recall_and_average_precision_are_those_of_plain_loops(labeled):
    features, labels = labeled
    own = np.eye(len(labels), dtype=bool)
    found = retrieve(features, labels[:, None] == labels, own)
    cosines, expected = _cosines(features), []
    for query in range(len(labels)):
        others = [other for other in range(len(labels)) if other != query]
        relevant = [labels[other] == labels[query] for other in others]
        if any(relevant):
            scores = [cosines[query, other] for other in others]
            ranked = [hit for _, hit in sorted(zip(scores, relevant, strict=True), reverse=True)]
            expected.append((query, ranked[0], any(ranked[:5]), average_precision_score(relevant, scores)))
    queries, first, five, precision = map(np.array, zip(*expected, strict=True))
    np.testing.assert_array_equal(found.queries, queries)
    np.testing.assert_array_equal(found.recall[1], first)
    np.testing.assert_array_equal(found.recall[5], five)
    np.testing.assert_allclose(found.average_precision, precision, rtol=1e-9)


def test_excluded_references_are_never_returned(labeled):
    features, labels = labeled
    excluded = labels[:, None] == labels
    nearest = nearest_other(features, features, excluded)
    expected = np.where(excluded, -np.inf, _cosines(features)).argmax(axis=1)
    np.testing.assert_array_equal(nearest, expected)
    assert (labels[nearest] != labels).all()
