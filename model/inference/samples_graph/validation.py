"""The comparison of a graph from samples with eager in fp32, which computes the mel with `pipeline.audio.mel`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.eager import Eager
from model.inference.extraction import mean_over_windows
from model.inference.samples_graph.description import (
    EMBEDDING,
    INPUT,
    PERCENTILE,
    PROBABILITIES,
    TOP_LABEL,
    WINDOW_PERCENTILES,
    WINDOW_PROBABILITIES,
    WINDOWS,
)
from model.inference.samples_graph.runtime import open_session
from model.inference.windows import Windowing
from model.probes.probe import Probe
from model.probes.recording_answer import answer
from pipeline.audio.mel import mel_power
from stores.errors import InvalidInput
from stores.mel_spec import MelSpec

TOLERANCE = 1e-4
"""Largest distance between an embedding of the graph and that of eager, divided by the length of the latter."""
MIN_INT8_COSINE = 0.98
"""Smallest cosine between the embeddings of a graph with int8 weights and those of eager."""


@dataclass(frozen=True)
class GraphValidation:
    """The result of the comparison; `model.json` contains it."""

    recordings: int
    """Number of recordings compared: synthesized music, silence and noise of several lengths."""
    largest_distance: float
    """Largest distance between two embeddings of a window, divided by the length of eager's."""
    least_cosine: float
    """Smallest cosine between two embeddings of a window."""
    least_centered_cosine: float
    """Smallest cosine after the mean embedding is subtracted from both."""
    largest_output_difference: float
    """Largest difference between two probabilities or numbers of the probe; 0 without a probe."""
    same_top_label: bool
    """True if the predicted label of every recording is the same."""
    largest_percentile_difference: float = 0.0
    """Largest difference between two percentiles of the distance to the training clips."""

    def require(self, precision: str) -> None:
        """Check that the graph may be published.

        Raises:
            InvalidInput: its embeddings or labels differ too much from those of eager.
        """
        is_close = self.largest_distance <= TOLERANCE and self.same_top_label
        if precision == "int8":
            is_close = self.least_cosine >= MIN_INT8_COSINE
        if not is_close:
            raise InvalidInput(
                f"the graph is not published, because it differs too much from eager in fp32: {asdict(self)}"
            )


def compare(
    path: Path, encoder: Encoder, spec: MelSpec, windowing: Windowing, probe: Probe | None = None
) -> GraphValidation:
    """Compare a graph with eager in fp32 and with the answers of the probe, on recordings of several lengths."""
    session, eager = open_session(path), Eager(encoder, "fp32")
    actual, expected, answers = [], [], [_AnswerComparison()]
    recordings = validation_recordings(spec, windowing)
    for samples in recordings:
        results = dict(
            zip(
                [output.name for output in session.get_outputs()],
                session.run(None, {INPUT: samples[None]}),
                strict=True,
            )
        )
        embeddings = _embed(eager, samples, spec, windowing)
        actual += [results[WINDOWS][0], results[EMBEDDING]]
        expected += [embeddings, mean_over_windows(embeddings, [len(embeddings)])]
        if probe is not None:
            answers.append(_AnswerComparison.of(probe, embeddings, results))
    rows = [np.concatenate(each).astype(np.float64) for each in (actual, expected)]
    return GraphValidation(
        len(recordings),
        *_distances(*rows),
        max(answer.output_difference for answer in answers),
        all(answer.same_top_label for answer in answers),
        max(answer.percentile_difference for answer in answers),
    )


@dataclass(frozen=True)
class _AnswerComparison:
    """The comparison of the answers of a graph with those of its probe, for one recording."""

    output_difference: float = 0.0
    same_top_label: bool = True
    percentile_difference: float = 0.0

    @classmethod
    def of(cls, probe: Probe, windows: NDArray[np.float32], results: Mapping[str, NDArray[Any]]) -> _AnswerComparison:
        """Compare the results of the graph with the answers of the probe for eager's embeddings."""
        whole, per_window = answer(probe, windows)
        expected = [list(one.values.values()) for one in (whole, *per_window)]
        outputs = np.concatenate([results[PROBABILITIES], results[WINDOW_PROBABILITIES][0]])
        top_label = probe.metadata["classes"][int(results[TOP_LABEL][0])] if TOP_LABEL in results else None
        percentiles = [whole.distance_percentile, *(one.distance_percentile for one in per_window)]
        difference = 0.0
        if PERCENTILE in results:
            stated = np.concatenate([results[PERCENTILE], results[WINDOW_PERCENTILES][0]])
            difference = float(np.abs(stated - np.array(percentiles, np.float64)).max())
        return cls(float(np.abs(outputs - expected).max()), top_label in (None, whole.prediction), difference)


def validation_recordings(spec: MelSpec, windowing: Windowing) -> list[NDArray[np.float32]]:
    """Return mono samples `[T]` of chords, silence and noise, of less than a window and of several."""
    rng, window = np.random.default_rng(0), windowing.window_frames * spec.hop_samples
    lengths = [max(spec.min_samples, window // 3), window - spec.hop_samples, window, 2 * window + 1, int(3.4 * window)]
    recordings = [_chords(length, spec.sample_rate_hz, rng) for length in lengths for _ in range(2)]
    noise = (0.3 * rng.uniform(-1, 1, window)).astype(np.float32)
    return [*recordings, np.zeros(window, np.float32), noise]


def _chords(length: int, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
    t = np.arange(length) / rate_hz
    notes_hz = 110 * 2 ** (rng.integers(0, 36, 4) / 12)
    sound = np.sum([np.sin(2 * np.pi * hz * k * t) / k for hz in notes_hz for k in range(1, 5)], axis=0)
    loud: NDArray[np.float64] = rng.uniform(0.05, 0.9) * sound / np.abs(sound).max() * np.exp(-2 * (t % 0.5))
    return loud.astype(np.float32)


def _embed(eager: Eager, samples: NDArray[np.float32], spec: MelSpec, windowing: Windowing) -> NDArray[np.float32]:
    mel, frames = mel_power(samples, spec), windowing.window_frames
    padded = np.pad(mel, ((0, 0), (0, max(0, frames - mel.shape[1]))))
    windows = np.stack([padded[:, start : start + frames] for start in windowing.starts(mel.shape[1])])
    return eager.with_batch_for(len(windows))(windows)


def _distances(actual: NDArray[Any], expected: NDArray[Any]) -> tuple[float, float, float]:
    """Return the largest relative distance, the least cosine, and the least cosine after centering."""
    lengths = np.linalg.norm(expected, axis=1)
    distance = float((np.linalg.norm(actual - expected, axis=1) / lengths).max())
    center = expected.mean(axis=0)
    return distance, _least_cosine(actual, expected), _least_cosine(actual - center, expected - center)


def _least_cosine(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    lengths = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((actual * expected).sum(axis=1) / np.maximum(lengths, 1e-30)).min())
