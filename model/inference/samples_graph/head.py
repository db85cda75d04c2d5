"""The head of a graph: a probe from its file, as a module from embeddings to probabilities or numbers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.probes.probe import Probe
from model.probes.training.batched_mlp import MlpWeights


class ProbeHead(nn.Module):
    """The forward pass of a probe: standardizer, weights, and softmax, sigmoid or neither.

    Args:
        probe: a probe from a file, with its metadata.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.kind, (start, stop) = probe.metadata["kind"], probe.metadata["columns"]
        self.columns, self.temperature = slice(start, stop), probe.temperature
        self.register_buffer("mean", probe.mean)
        self.register_buffer("deviation", probe.deviation)
        self.count = len(probe.weights.tensors)
        for number, tensor in enumerate(probe.weights.tensors):
            self.register_buffer(f"weight_{number}", tensor)

    def forward(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        """Return the probabilities of classes or tags, or the numbers, for whole embeddings."""
        standardized = (embeddings[:, self.columns] - self.mean) / self.deviation
        weights = MlpWeights(tuple(getattr(self, f"weight_{number}") for number in range(self.count)))
        outputs = weights.outputs(standardized[None], torch.float32)[0]
        if self.kind == "numbers":
            return outputs
        scaled = outputs / self.temperature
        return scaled.sigmoid() if self.kind == "tags" else scaled.softmax(dim=1)
