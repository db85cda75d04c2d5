"""The module that is exported: samples of recordings to the embeddings of their windows, and to probabilities.

Axes: R recording, T sample, W window, M mel bin, N frame, D width, C class.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.vit import Encoder
from model.inference.engines.forward import InferenceModule
from model.inference.samples_graph.head import ProbeHead
from model.inference.samples_graph.mel_module import MelModule
from model.inference.windows import Windowing
from stores.mel_spec import MelSpec


class SamplesModule(nn.Module):
    """The forward pass from mono samples to embeddings, by the rule of `Windowing`.

    Args:
        encoder: the encoder, in evaluation mode.
        spec: specification of its mel.
        windowing: windows and hop.
        head: probe that answers for the embeddings of the windows (default: none).
    """

    def __init__(self, encoder: Encoder, spec: MelSpec, windowing: Windowing, head: ProbeHead | None = None) -> None:
        super().__init__()
        self.mel, self.embed = MelModule(spec), InferenceModule(encoder)
        self.windowing, self.head = windowing, head

    def forward(self, samples: Float[Tensor, "R T"]) -> tuple[Tensor, ...]:
        """Return the mean embedding `[R, D]` and those of the windows `[R, W, D]`, followed by the answers of the head.

        Args:
            samples: recordings of equal length at the rate of the mel, with full scale -1 to 1.
        """
        mel = self.mel(samples)
        windows = self._windows(mel)
        embeddings = self.embed(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        mean = embeddings.mean(dim=1)
        if self.head is None:
            return mean, embeddings
        return mean, embeddings, *(answer for answer in self.head(embeddings) if answer is not None)

    def _windows(self, mel: Tensor) -> Tensor:
        """Return windows `[R, W, M, N]`. A recording that is shorter than a window is padded with silence."""
        frames, hop = self.windowing.window_frames, self.windowing.hop_frames
        length = mel.shape[2]
        last = torch.sym_max(length - frames, 0)  # type: ignore[no-untyped-call]
        count = (last // hop if self.windowing.tail == "drop" else (last + hop - 1) // hop) + 1
        starts = (torch.arange(count, device=mel.device) * hop).clamp(max=last)
        places = starts[:, None] + torch.arange(frames, device=mel.device)
        padded = torch.nn.functional.pad(mel, (0, frames))  # only a recording shorter than a window reads the padding
        return padded[:, :, places].permute(0, 2, 1, 3)
