"""Scores of retrieval compared with loops, with equal texts, chance and intervals over groups."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.linalg import norm

from model.alignment import retrieval_scores
from model.alignment.retrieval_scores import MEDIAN_RANK, score


def _made(count=20, texts=20, noise=1.0):
    rng = np.random.default_rng(3)
    numbers = np.arange(count) % texts
    text = rng.normal(size=(texts, 4))[numbers]
    audio = text + noise * rng.normal(size=(count, 4))
    unit = [(rows / norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (audio, text)]
    return (*unit, numbers.astype(np.int64), (np.arange(count) // 2).astype(np.int64))


def _by_loops(queries, references, relevant):
    ranks, precisions = [], []
    for query, wanted in zip(queries, relevant, strict=True):
        order = sorted(range(len(references)), key=lambda i: (-float(query @ references[i]), i))
        places = [place for place, i in enumerate(order, 1) if i in wanted]
        ranks.append(places[0])
        precisions.append(np.mean([hit / place for hit, place in enumerate(places, 1)]))
    return np.array(ranks), np.array(precisions)


@pytest.mark.parametrize("texts", [20, 7])
def test_both_directions_equal_loops_over_the_ranking(texts):
    audio, text, numbers, groups = _made(texts=texts)
    audio, text = audio.astype(np.float64), text.astype(np.float64)
    scores = score(audio, text, numbers, groups)
    with_equal_text = [{i for i in range(20) if numbers[i] == number} for number in numbers]
    expected = {
        "text to audio": _by_loops(text, audio, with_equal_text),
        "audio to text": _by_loops(audio, text[:texts], [{number} for number in numbers]),
    }
    for direction, (ranks, precisions) in expected.items():
        values = scores.values[direction]
        assert values[MEDIAN_RANK] == pytest.approx(ranks)
        assert values["mAP"] == pytest.approx(precisions)
        for rank in (1, 5, 10):
            assert values[f"recall@{rank}"] == pytest.approx((ranks <= rank).astype(float))


def test_the_scores_have_intervals_around_them_and_count_groups():
    scores = score(*_made()).to_dict()
    assert (scores["queries"], scores["groups"]) == (20, 10)
    for direction in retrieval_scores.DIRECTIONS:
        assert list(scores[direction]) == ["recall@1", "recall@5", "recall@10", "median rank", "mAP"]
        for value, low, high in scores[direction].values():
            assert low <= value <= high


def test_chance_is_the_mean_over_all_rankings():
    audio, text, numbers, groups = _made(count=6, texts=4)
    chance = score(audio, text, numbers, groups).chance["text to audio"]["recall@1"]
    assert chance == pytest.approx(np.mean([(numbers == number).mean() for number in numbers]), abs=1e-4)
    five = score(audio, text, numbers, groups).chance["text to audio"]["recall@5"]
    assert score(audio, text, numbers, groups).chance["audio to text"]["recall@1"] == 1 / 4
    shares = []
    for number in numbers:
        draws = list(combinations(range(6), 5))
        shares.append(np.mean([any(numbers[i] == number for i in draw) for draw in draws]))
    assert five == pytest.approx(np.mean(shares), abs=1e-4)


def test_a_lead_is_paired_and_that_over_itself_is_zero():
    first, second = score(*_made(noise=0.2)), score(*_made(noise=3.0))
    assert first.lead_over(first, "text to audio", "recall@5") == [0, 0, 0]
    value, low, high = first.lead_over(second, "text to audio", "recall@5")
    assert value > low > 0
    assert second.lead_over(first, "text to audio", "recall@5") == [-value, -high, -low]
    over_chance = first.lead_over_chance("text to audio", "recall@10")
    assert over_chance[0] == pytest.approx(1 - first.chance["text to audio"]["recall@10"], abs=1e-3)


def test_the_interval_of_the_median_contains_it_and_is_that_of_replicates():
    values, groups = np.array([1.0, 1, 2, 3, 50, 60]), np.array([0, 0, 1, 1, 2, 2])
    median, low, high = retrieval_scores._median_with_interval(values, groups)
    assert (median, low, high) == (2.5, 1.0, 50.0)


def test_texts_that_mean_the_same_are_right_answers():
    audio, text, numbers, groups = _made()
    meanings = numbers // 2
    scores = score(audio, text, numbers, groups, meanings)
    expected = {
        "text to audio": _by_loops(text, audio, [{i for i in range(20) if i // 2 == number} for number in meanings]),
        "audio to text": _by_loops(audio, text, [{2 * number, 2 * number + 1} for number in meanings]),
    }
    for direction, (ranks, precisions) in expected.items():
        assert scores.values[direction][MEDIAN_RANK] == pytest.approx(ranks)
        assert scores.values[direction]["mAP"] == pytest.approx(precisions)
    assert scores.chance["audio to text"]["recall@1"] == pytest.approx(2 / 20)
