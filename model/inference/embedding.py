"""Clips of a mel store -> one embedding each: windows of all clips share batches, then are averaged clip by clip.

No window depends on its batch mates, and nothing is random: the same store and encoder give the same embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model.encoder.vit import Encoder
from model.inference.windows import window_starts
from stores.manifest import ClipRow
from stores.mel_store import MelStore


@dataclass(frozen=True)
class Embedding:
    """How a store is embedded; all of it can change the result."""

    hop_frames: int = 96
    """Distance of two windows."""
    precision: str = "fp32"
    """Of the encoder's products: fp32 or bf16."""
    batch_windows: int = 256
    """Windows embedded at a time."""

    def embed(self, encoder: Encoder, store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
        """Mean embedding `[clips, D]` of each of `rows`, in their order; D is `encoder.config.embedding_width`."""
        sums = np.zeros((len(rows), encoder.config.embedding_width), np.float64)
        counts = np.zeros((len(rows), 1), np.int64)
        for clips, windows in self._batches(store, rows, encoder.config.window_frames):
            np.add.at(sums, clips, self._run(encoder, windows))
            np.add.at(counts, clips, 1)
        mean: NDArray[np.float32] = (sums / counts).astype(np.float32)
        return mean

    def _run(self, encoder: Encoder, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        device = next(encoder.parameters()).device
        enabled = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            embedded: NDArray[np.float32] = encoder(torch.from_numpy(windows).to(device)).float().cpu().numpy()
        return embedded

    def _batches(
        self, store: MelStore, rows: Sequence[ClipRow], frames: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        clips: list[int] = []
        windows: list[NDArray[np.float32]] = []
        for position, row in enumerate(tqdm(rows, desc="embed", unit="clip")):
            for window in self._windows(store.clip(row.index), frames):
                clips.append(position)
                windows.append(window)
                if len(windows) == self.batch_windows:
                    yield np.array(clips), np.stack(windows)
                    clips, windows = [], []
        if windows:
            yield np.array(clips), np.stack(windows)

    def _windows(self, mel: NDArray[np.float32], frames: int) -> Iterator[NDArray[np.float32]]:
        for start in window_starts(mel.shape[1], frames, self.hop_frames):
            window = mel[:, start : start + frames]
            yield np.pad(window, ((0, 0), (0, frames - window.shape[1])))
