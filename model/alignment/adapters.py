"""Adapters: a linear layer, or one with a hidden layer, from standardized embeddings into the common space.

Axes: N row, D width of the embeddings, W width of the common space.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

AUDIO, TEXT = "audio", "text"


class Adapter(nn.Module):
    """The map of one modality into the common space.

    Args:
        inputs: width of the embeddings.
        hidden: units of the hidden layer (ReLU), or 0 for a linear map.
        outputs: width of the common space.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        widths = (inputs, hidden, outputs) if hidden else (inputs, outputs)
        layers: list[nn.Module] = [nn.Linear(before, after) for before, after in pairwise(widths)]
        if hidden:
            layers.insert(1, nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def standardize_like(self, embeddings: Float[Tensor, "N D"]) -> None:
        """Use the mean and the standard deviation of these embeddings. The deviation of a constant number is set to 1.

        A deviation below a thousandth of the largest one is raised to that, because dividing by it would only amplify
        rounding errors.
        """
        double = embeddings.double()
        deviation = double.std(dim=0, correction=0)
        floor = deviation.max() * 1e-3
        self.mean.copy_(double.mean(dim=0))
        self.deviation.copy_(torch.where(deviation > 0, deviation.clamp_min(floor), 1))

    def forward(self, embeddings: Float[Tensor, "N D"]) -> Float[Tensor, "N W"]:
        """Return the rows in the common space, of any length."""
        outputs: Tensor = self.layers((embeddings - self.mean) / self.deviation)
        return outputs

    @torch.inference_mode()
    def project(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the unit vectors of the rows in the common space, `[N, W]` float32."""
        device = self.mean.device
        projected = self(torch.from_numpy(np.ascontiguousarray(embeddings, np.float32)).to(device))
        vectors: NDArray[np.float32] = F.normalize(projected, dim=1).cpu().numpy()
        return vectors


class Adapters(nn.Module):
    """The adapters of both modalities.

    Args:
        audio: adapter of the audio.
        text: adapter of the text.
    """

    def __init__(self, audio: Adapter, text: Adapter) -> None:
        super().__init__()
        self.audio, self.text = audio, text


def build_adapters(audio_width: int, text_width: int, hidden: int, outputs: int, seed: int) -> Adapters:
    """Return the adapters of both modalities with weights that the seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Adapters(Adapter(audio_width, hidden, outputs), Adapter(text_width, hidden, outputs))
