"""The comparison of representations on recordings that no encoder was trained on.

Every task gives a value for each passage or recording. A score is a weighted mean of these values. Its 95 % interval
comes from a bootstrap over recordings, which is the same for all representations, so differences between two of them
are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence import albums, rendered_probes, retrieval
from model.evidence.compared_representations import ComparedRepresentation
from model.evidence.passages import SHIFT_SECONDS, Passage, place_passages, plan_passages
from model.evidence.rendered_probes import TASKS
from model.evidence.retrieval import nearest_other, retrieve
from model.probes.evaluation.bootstrap import Interval, replicates
from stores.mel_store import MelStore

LABELED = (5, 10)
"""Numbers of labeled recordings of each album."""
SHIFTED = "shifted"
"""Name of the change that shifts every passage by 3 s, which needs no copy of the recordings."""


@dataclass(frozen=True)
class Values:
    """The values of one measure, each of which belongs to a recording."""

    values: NDArray[np.float64]
    """Value of each unit, `[N]`."""
    recordings: NDArray[np.int64]
    """Number of the recording of each unit, or of the group of rendered clips, `[N]`."""
    weights: NDArray[np.float64]
    """Weight of each unit in the mean, `[N]`."""

    @property
    def mean(self) -> float:
        """Weighted mean."""
        return float(np.average(self.values, weights=self.weights))

    def interval(self) -> Interval:
        """Return the 95 % interval of the mean, by the bootstrap over recordings."""
        _, groups = np.unique(self.recordings, return_inverse=True)
        totals = np.bincount(groups, self.values * self.weights)
        sizes = np.bincount(groups, self.weights)
        return Interval.of(replicates(lambda drawn: (drawn @ totals) / (drawn @ sizes), len(totals)))

    def minus(self, other: Values) -> Values:
        """Return the differences to the values of another representation for the same units."""
        return Values(self.values - other.values, self.recordings, self.weights)


class Comparison:
    """The passages of the recordings of a store, on which representations are compared.

    Args:
        store: mel store of whole recordings, each in the folder of its album.
        copies: by name, stores of changed copies of the same recordings, for robustness.
        rendered: store of rendered clips with the labels `key` and `genre`, splits and groups, for linear probes.

    Raises:
        InvalidInput: no recording is long enough, or a copy lacks one.
    """

    def __init__(
        self, store: MelStore, copies: Mapping[str, MelStore] | None = None, rendered: MelStore | None = None
    ) -> None:
        self.passages: Sequence[Passage] = plan_passages(store)
        self._store = place_passages(store, self.passages)
        self._changed = {name: place_passages(copy, self.passages) for name, copy in (copies or {}).items()}
        self._changed[SHIFTED] = place_passages(store, self.passages, SHIFT_SECONDS)
        names, first, self.recordings = np.unique(
            [passage.recording for passage in self.passages], return_index=True, return_inverse=True
        )
        self.album_names, self.albums = np.unique([self.passages[i].album for i in first], return_inverse=True)
        self.recording_count = len(names)
        self._rendered = rendered
        self.rendered_count = len(rendered.rows) if rendered else 0

    def measure(self, representation: ComparedRepresentation) -> dict[str, Values]:
        """Return the values of every measure by name."""
        raw = representation.compute(self._store)
        transform = representation.fit(raw) if representation.fit else _unchanged
        features = transform(raw)
        changed = {name: transform(representation.compute(view)) for name, view in self._changed.items()}
        return {
            **self._same_track(features),
            **self._same_album(features),
            **self._few_labels(features),
            **self._robustness(features, changed),
            **self._rendered_scores(representation),
        }

    def _same_track(self, features: NDArray[np.float32]) -> dict[str, Values]:
        """Measure how early the other passages of a recording come among all passages."""
        same = self.recordings[:, None] == self.recordings
        retrieved = retrieve(features, same, np.eye(len(features), dtype=bool))
        return self._retrieval_values("track", retrieved, self.recordings)

    def _same_album(self, features: NDArray[np.float32]) -> dict[str, Values]:
        """Measure how early other recordings of the album come; a recording is the mean of its passages."""
        counts = np.bincount(self.recordings)[:, None]
        means = np.stack([np.bincount(self.recordings, column) for column in features.T], axis=1) / counts
        same = self.albums[:, None] == self.albums
        retrieved = retrieve(means.astype(np.float32), same, np.eye(len(means), dtype=bool))
        return self._retrieval_values("album", retrieved, np.arange(self.recording_count))

    def _retrieval_values(
        self, name: str, retrieved: retrieval.Retrieval, recordings: NDArray[np.int64]
    ) -> dict[str, Values]:
        units, ones = recordings[retrieved.queries], np.ones(len(retrieved.queries))
        recall = {f"{name}-recall@{rank}": Values(hits, units, ones) for rank, hits in retrieved.recall.items()}
        return {**recall, f"{name}-map": Values(retrieved.average_precision, units, ones)}

    def _few_labels(self, features: NDArray[np.float32]) -> dict[str, Values]:
        """Measure the balanced accuracy of album labels for recordings, from few labeled recordings."""
        values = {}
        for labeled in LABELED:
            classified = albums.classify(features, self.recordings, self.albums, labeled)
            if classified is not None:
                values[f"albums-{labeled}-labels"] = Values(
                    classified.correct, classified.recordings, classified.weights
                )
        return values

    def _robustness(
        self, features: NDArray[np.float32], changed: Mapping[str, NDArray[np.float32]]
    ) -> dict[str, Values]:
        """Measure how many passages keep their nearest other passage when they are changed."""
        own, ones = np.eye(len(features), dtype=bool), np.ones(len(features))
        before = nearest_other(features, features, own)
        return {
            f"same-neighbor-{name}": Values(
                (nearest_other(queries, features, own) == before).astype(np.float64), self.recordings, ones
            )
            for name, queries in changed.items()
        }

    def _rendered_scores(self, representation: ComparedRepresentation) -> dict[str, Values]:
        """Measure linear probes of key and genre on the rendered clips, whose groups are resampled together."""
        if self._rendered is None:
            return {}
        raw, rows = representation.compute(self._rendered), list(self._rendered.rows)
        features = representation.fit(raw)(raw) if representation.fit else raw
        return {f"rendered-{task}": _of_groups(rendered_probes.probe(features, rows, task)) for task in TASKS}


def report(measured: Mapping[str, Mapping[str, Values]], subject: str) -> dict[str, Any]:
    """Return scores with intervals, and the paired differences of `subject` to all others, as JSON values.

    Args:
        measured: the values of every measure for each representation.
        subject: the representation that the others are compared with.
    """
    scores = {
        name: {measure: _with_interval(values) for measure, values in measures.items()}
        for name, measures in measured.items()
    }
    differences = {
        name: {measure: _with_interval(measured[subject][measure].minus(values)) for measure, values in others.items()}
        for name, others in measured.items()
        if name != subject
    }
    return {"subject": subject, "scores": scores, "differences": differences}


def _with_interval(values: Values) -> list[float]:
    interval = values.interval()
    return [round(number, 4) for number in (values.mean, interval.low, interval.high)]


def _of_groups(counts: rendered_probes.GroupCounts) -> Values:
    clips = np.array(counts.clips, np.float64)
    return Values(np.array(counts.points) / clips, np.arange(len(clips)), clips)


def _unchanged(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features
