"""Scores of the retrieval of held-out pairs, in both directions, with bootstrap intervals over groups.

From text to audio, the text of each pair is a query, all clips are ranked, and every clip whose text means the same is
relevant. From audio to text, each clip is a query, all different texts are ranked, and every text that means the same
as that of the clip is relevant. Equal texts mean the same, and so do texts with the same stated meaning.

Axes: Q query, R reference, W width of the common space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.retrieval import retrieve_from
from model.probes.evaluation import bootstrap
from model.probes.evaluation.bootstrap import Interval

RECALL_RANKS = (1, 5, 10)
MEDIAN_RANK = "median rank"
MEAN_AVERAGE_PRECISION = "mAP"
TEXT_TO_AUDIO, AUDIO_TO_TEXT = DIRECTIONS = ("text to audio", "audio to text")
_MEDIAN_REPLICATES = 2_000


@dataclass(frozen=True)
class RetrievalScores:
    """The values of every query, by direction and metric."""

    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    """Value of each query, `[Q]`: 1 or 0 for recall, the rank of the first relevant reference, or the average
    precision."""
    groups: NDArray[np.int64]
    """Group of each query, numbered from 0, `[Q]`."""
    chance: Mapping[str, Mapping[str, float]]
    """Expected recall of a random ranking, by direction and metric."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the score of each metric with its 95 % interval."""
        scores = {
            direction: {metric: self._with_interval(metric, values) for metric, values in metrics.items()}
            for direction, metrics in self.values.items()
        }
        chance = {direction: dict(values) for direction, values in self.chance.items()}
        return {"queries": len(self.groups), "groups": int(self.groups.max()) + 1, **scores, "chance": chance}

    def lead_over(self, other: RetrievalScores, direction: str, metric: str) -> list[float]:
        """Return the difference of a mean to that of another alignment of the same pairs, with its 95 % interval."""
        difference = self.values[direction][metric] - other.values[direction][metric]
        return self._with_interval(metric, difference)

    def lead_over_chance(self, direction: str, metric: str) -> list[float]:
        """Return the difference of a recall to that of a random ranking, with its 95 % interval."""
        return self._with_interval(metric, self.values[direction][metric] - self.chance[direction][metric])

    def _with_interval(self, metric: str, values: NDArray[np.float64]) -> list[float]:
        if metric == MEDIAN_RANK:
            return _median_with_interval(values, self.groups)
        interval = bootstrap.confidence_interval(values, self.groups)
        return [round(number, 4) for number in (float(values.mean()), interval.low, interval.high)]


def score(
    audio: NDArray[np.float32],
    text: NDArray[np.float32],
    text_numbers: NDArray[np.int64],
    groups: NDArray[np.int64],
    meaning_numbers: NDArray[np.int64] | None = None,
) -> RetrievalScores:
    """Return the scores of pairs in the common space.

    Args:
        audio: vectors of the clips, `[N, W]`.
        text: vectors of their texts, `[N, W]`.
        text_numbers: number of each text, `[N]`; equal texts have equal numbers.
        groups: group of each pair, numbered from 0, `[N]`.
        meaning_numbers: number of the meaning of each text, `[N]` (default: `text_numbers`).
    """
    first = np.unique(text_numbers, return_index=True)[1]
    meanings = text_numbers if meaning_numbers is None else meaning_numbers
    sides = {
        TEXT_TO_AUDIO: (text, audio, meanings[:, None] == meanings),
        AUDIO_TO_TEXT: (audio, text[first], meanings[:, None] == meanings[first]),
    }
    values = {direction: _values(*side) for direction, side in sides.items()}
    chance = {
        direction: {f"recall@{rank}": _random_recall(relevant, rank) for rank in RECALL_RANKS}
        for direction, (_, _, relevant) in sides.items()
    }
    return RetrievalScores(values, groups, chance)


def _values(
    queries: NDArray[np.float32], references: NDArray[np.float32], relevant: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    retrieved = retrieve_from(queries, references, relevant, np.zeros_like(relevant), RECALL_RANKS)
    recall = {f"recall@{rank}": hits for rank, hits in retrieved.recall.items()}
    return {**recall, MEDIAN_RANK: retrieved.first_rank, MEAN_AVERAGE_PRECISION: retrieved.average_precision}


def _random_recall(relevant: NDArray[np.bool_], rank: int) -> float:
    """Return the mean probability that a random ranking has a relevant reference among its first `rank`."""
    count, relevant_counts = relevant.shape[1], relevant.sum(axis=1)
    misses = np.ones(len(relevant))
    for place in range(min(rank, count)):
        misses *= np.clip((count - relevant_counts - place) / (count - place), 0, 1)
    return round(float((1 - misses).mean()), 4)


def _median_with_interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> list[float]:
    """Return the median with its interval, by the weighted median on each bootstrap replicate."""
    order = np.argsort(values, kind="stable")
    ranked, owners = values[order], groups[order]

    def medians(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the median of each replicate."""
        totals = weights[:, owners].cumsum(axis=1)
        places = (totals * 2 < totals[:, -1:]).sum(axis=1)
        return np.asarray(ranked[places], np.float64)

    blocks = bootstrap.replicate_weights(int(groups.max()) + 1, _MEDIAN_REPLICATES, block=100)
    interval = Interval.of(np.concatenate([medians(weights) for weights in blocks]))
    return [round(number, 2) for number in (float(np.median(values)), interval.low, interval.high)]
