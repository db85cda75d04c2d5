"""The head of a graph: a probe from its file, as a module from embeddings of windows to answers.

Axes: R recording, W window, D width, C class, Q percentile.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from model.probes import musical_keys
from model.probes.encoder_match import features_of
from model.probes.probe import Probe
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training_reference import TrainingReference


class Answers(NamedTuple):
    """The outputs of a head, of which some are None if the probe does not have them."""

    whole: Float[Tensor, "R C"]
    """Probabilities of classes or tags, or numbers, for recordings."""
    windows: Float[Tensor, "R W C"]
    """The same for windows."""
    top_label: Int[Tensor, " R"] | None
    """Place of the predicted class among the labels, by the vote of the probe; None for tags and numbers."""
    percentile: Float[Tensor, " R"] | None
    """Percentage of validation clips that are nearer to the training clips; None without training embeddings."""
    is_unlike: Bool[Tensor, " R"] | None
    """True for recordings that are farther from the training clips than every validation clip."""
    window_percentiles: Float[Tensor, "R W"] | None
    """Percentile of each window."""


class ProbeHead(nn.Module):
    """The forward pass of a probe: standardizer, weights, softmax or sigmoid, vote, and distance to training clips.

    Args:
        probe: a probe from a file, with its metadata.
    """

    mean: Tensor
    deviation: Tensor
    tie_break: Tensor

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.kind, (start, stop) = probe.metadata["kind"], probe.metadata["columns"]
        self.columns, self.temperature = slice(start, stop), probe.temperature
        self.reads_windows = features_of(probe).get("pool", "mean") == "none"
        self.vote = probe.metadata["vote"] if self.reads_windows else ""
        self.register_buffer("mean", probe.mean)
        self.register_buffer("deviation", probe.deviation)
        self.count = len(probe.weights.tensors)
        for number, tensor in enumerate(probe.weights.tensors):
            self.register_buffer(f"weight_{number}", tensor)
        classes = probe.metadata["classes"]
        self.register_buffer("tie_break", -torch.from_numpy(musical_keys.label_ranks(classes)).float() / len(classes))
        self.distance = None if probe.reference is None else DistanceHead(probe.reference)

    def forward(self, windows: Float[Tensor, "R W D"]) -> Answers:
        """Return the answers for the embeddings of windows."""
        outputs = self._outputs(windows)
        per_window = self._activate(outputs)
        if self.reads_windows:
            whole = per_window.mean(dim=1)
        else:
            outputs = self._outputs(windows.mean(dim=1, keepdim=True))
            whole = self._activate(outputs)[:, 0]
        has_label = self.kind not in ("tags", "numbers")
        top_label = self._elect(outputs, whole) if has_label else None
        return Answers(whole, per_window, top_label, *self._distances(windows))

    def _outputs(self, embeddings: Float[Tensor, "R W D"]) -> Float[Tensor, "R W C"]:
        standardized = (embeddings[..., self.columns] - self.mean) / self.deviation
        weights = MlpWeights(tuple(getattr(self, f"weight_{number}") for number in range(self.count)))
        outputs = weights.outputs(standardized.flatten(0, 1)[None], torch.float32)[0]
        return outputs.reshape(*embeddings.shape[:2], -1)

    def _activate(self, outputs: Float[Tensor, "R W C"]) -> Float[Tensor, "R W C"]:
        if self.kind == "numbers":
            return outputs
        scaled = outputs / self.temperature
        return scaled.sigmoid() if self.kind == "tags" else scaled.softmax(dim=-1)

    def _elect(self, outputs: Float[Tensor, "R W C"], whole: Float[Tensor, "R C"]) -> Int[Tensor, " R"]:
        """Return the class that the windows elect, see `model.probes.song_aggregation`."""
        if self.vote == "vote":
            winners = outputs.argmax(dim=-1, keepdim=True) == torch.arange(outputs.shape[-1], device=outputs.device)
            return (winners.float().sum(dim=1) + self.tie_break).argmax(dim=-1)
        if self.vote == "max":
            return outputs.amax(dim=1).argmax(dim=-1)
        if self.vote == "gmean":
            return outputs.sum(dim=1).argmax(dim=-1)
        if self.vote == "mean":
            return outputs.softmax(dim=-1).sum(dim=1).argmax(dim=-1)
        return whole.argmax(dim=-1)

    def _distances(self, windows: Float[Tensor, "R W D"]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if self.distance is None:
            return None, None, None
        per_window, is_unlike = self.distance(windows[..., self.columns])
        if self.reads_windows:
            return per_window.mean(dim=1), is_unlike.float().mean(dim=1) > 0.5, per_window
        whole, whole_is_unlike = self.distance(windows.mean(dim=1, keepdim=True)[..., self.columns])
        return whole[:, 0], whole_is_unlike[:, 0], per_window


class DistanceHead(nn.Module):
    """The percentile of the distance of embeddings to the training clips, see `TrainingReference`.

    Args:
        reference: training embeddings of a probe.
    """

    mean: Tensor
    deviation: Tensor
    embeddings: Tensor
    quantiles: Tensor

    def __init__(self, reference: TrainingReference) -> None:
        super().__init__()
        for name, tensor in vars(reference).items():
            self.register_buffer(name, tensor)

    def forward(self, features: Float[Tensor, "R W D"]) -> tuple[Float[Tensor, "R W"], Bool[Tensor, "R W"]]:
        """Return the percentile from 0 to 100, and whether it is beyond all validation clips."""
        rows = (features - self.mean) / self.deviation
        products = rows @ self.embeddings.T
        squares = rows.square().sum(dim=-1, keepdim=True) - 2 * products + self.embeddings.square().sum(dim=-1)
        distance = squares.amin(dim=-1).clamp(min=0).sqrt()
        last = len(self.quantiles) - 1
        lower = ((distance[..., None] >= self.quantiles).long().sum(dim=-1) - 1).clamp(0, last - 1)
        start, stop = self.quantiles[lower], self.quantiles[lower + 1]
        share = ((distance - start) / (stop - start).clamp(min=1e-12)).clamp(0, 1)
        return (lower + share) * (100 / last), distance > self.quantiles[-1]
