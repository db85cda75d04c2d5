"""The comparison of a graph from samples with eager in fp32, which computes the mel with `pipeline.audio.mel`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.eager import Eager
from model.inference.extraction import mean_over_windows
from model.inference.samples_graph.description import EMBEDDING, INPUT, PROBABILITIES, WINDOWS
from model.inference.samples_graph.head import ProbeHead
from model.inference.samples_graph.runtime import open_session
from model.inference.windows import Windowing
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
    """True if the most probable label of every recording is the same."""

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
    path: Path, encoder: Encoder, spec: MelSpec, windowing: Windowing, head: ProbeHead | None = None
) -> GraphValidation:
    """Compare the graph at `path` with eager in fp32 on recordings of several lengths."""
    session, eager = open_session(path), Eager(encoder, "fp32")
    actual, expected, top, differences = [], [], True, [0.0]
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
        if head is not None:
            with torch.inference_mode():
                outputs = head(torch.from_numpy(expected[-1])).numpy()
            differences.append(float(np.abs(outputs - results[PROBABILITIES]).max()))
            top &= bool(outputs.argmax() == results[PROBABILITIES].argmax())
    rows = [np.concatenate(each).astype(np.float64) for each in (actual, expected)]
    return GraphValidation(len(recordings), *_distances(*rows), max(differences), top)


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
