"""The answer of a probe for one recording, for the whole of it and for each of its windows.

A probe of features with `--pool mean` reads the mean of the embeddings of the windows. A probe of windows reads each of
them: its song-level aggregation decides about classes and keys, and probabilities and numbers are averaged.

Axes: W window, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.probes.encoder_match import features_of
from model.probes.probe import Probe
from model.probes.results.predictions import TAG_THRESHOLD, predictions_of, select_columns
from model.probes.training_reference import UNLIKE


@dataclass(frozen=True)
class ProbeAnswer:
    """What a probe says of a recording or of one of its windows."""

    prediction: str | None
    """Class or key, or all tags with a probability of at least 0.5, joined by `|`; None for numbers."""
    values: dict[str, float]
    """Probability of each class or tag, or each number, by name."""
    distance_percentile: float | None
    """Percentage of validation clips that are nearer to the training clips; None if the probe cannot tell."""
    remark: str
    """`unlike all training clips`, or empty text."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return vars(self)


def answer(probe: Probe, windows: NDArray[np.float32]) -> tuple[ProbeAnswer, list[ProbeAnswer]]:
    """Return the answer for a recording, and those for its windows.

    Args:
        probe: a probe from a file.
        windows: embedding of each window, `[W, D]`.

    Raises:
        InvalidInput: the embeddings have another width than the probe reads.
    """
    features = select_columns(probe, windows)
    per_window = _answers(probe, features, [str(window) for window in range(len(windows))])
    if features_of(probe).get("pool", "mean") == "mean":
        mean = features.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        return _answers(probe, mean, ["0"])[0], per_window
    return _whole(probe, _answers(probe, features, ["0"] * len(windows))[0], per_window), per_window


def _answers(probe: Probe, features: NDArray[np.float32], songs: Sequence[str]) -> list[ProbeAnswer]:
    """Return the answer for each row of features `[W, D]`. Rows of one song have its prediction."""
    columns, values = predictions_of(probe, probe.outputs(features), songs)
    distances = probe.reference.columns(features) if probe.reference else {}
    none = [None] * len(features)
    rows = zip(
        columns.get("prediction", none),
        values.tolist(),
        distances.get("distance_percentile", none),
        distances.get("remark", [""] * len(features)),
        strict=True,
    )
    return [
        ProbeAnswer(
            prediction,
            dict(zip(probe.metadata["classes"], row, strict=True)),
            None if percentile is None else float(percentile),
            remark,
        )
        for prediction, row, percentile, remark in rows
    ]


def _whole(probe: Probe, voted: ProbeAnswer, windows: Sequence[ProbeAnswer]) -> ProbeAnswer:
    """Return the answer of a probe of windows: the vote, and the means over the windows."""
    means = {name: float(np.mean([window.values[name] for window in windows])) for name in voted.values}
    prediction = voted.prediction if probe.metadata["vote"] else _prediction(probe, means)
    percentiles = [window.distance_percentile for window in windows if window.distance_percentile is not None]
    is_unlike = 2 * sum(bool(window.remark) for window in windows) > len(windows)
    return ProbeAnswer(
        prediction, means, float(np.mean(percentiles)) if percentiles else None, UNLIKE if is_unlike else ""
    )


def _prediction(probe: Probe, means: dict[str, float]) -> str | None:
    if probe.metadata["kind"] == "numbers":
        return None
    if probe.metadata["kind"] == "tags":
        return "|".join(name for name, value in means.items() if value >= TAG_THRESHOLD)
    return max(means, key=lambda name: means[name])
