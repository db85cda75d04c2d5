"""The published models of Myna by name, with their sizes, their licenses, and the scores that the paper reports."""

from __future__ import annotations

from dataclasses import dataclass

from model.encoder.config import PatchMode


@dataclass(frozen=True)
class PublishedModel:
    """A published model."""

    name: str
    """Name of a known model, such as `myna-hybrid`."""
    repository: str
    """Id of the repository on the Hugging Face hub."""
    patches: PatchMode
    """Kind of patches, or hybrid."""
    embedding_width: int
    """Length of an embedding."""
    window_frames: int
    """Frames of a window, 32 ms each."""
    license: str
    """License of the weights."""
    scores: tuple[float, float, float, float] | None
    """Scores of the paper's Table 1 in percent: MagnaTagATune (mean of ROC AUC and average precision), GTZAN
    (accuracy), GiantSteps (weighted), and EmoMusic (mean R2). None if the paper does not state them."""


TASKS = ("MagnaTagATune", "GTZAN", "GiantSteps", "EmoMusic")
"""Datasets of `PublishedModel.scores`."""
_SCORES = {"myna-base": (65.15, 78.3, 63.5, 64.65), "myna-vertical": (63.75, 75.9, 68.6, 56.2)}
_SCORES["myna-hybrid"] = (65.4, 77.9, 68.0, 63.0)


def _model(name: str, patches: PatchMode, embedding_width: int, window_frames: int = 96) -> PublishedModel:
    return PublishedModel(name, f"oriyonay/{name}", patches, embedding_width, window_frames, "MIT", _SCORES.get(name))


KNOWN_MODELS = {
    model.name: model
    for model in (
        _model("myna-base", "square", 384),
        _model("myna-vertical", "vertical", 384, 98),
        _model("myna-hybrid", "hybrid", 768),
        _model("myna-85m", "hybrid", 1536),
    )
}
"""The published models by name."""
