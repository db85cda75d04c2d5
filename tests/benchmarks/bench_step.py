"""Training step of Myna-Base with 64 clips of two views, against the step of the public code.

The step of the public code computes in fp32, with a separate pass for each view. It draws one mask at a time, and
embeds all patches before it gathers the visible ones. Both steps use InfoNCE and Adam.
"""

import numpy as np
import torch
from ratio import compare

from model.encoder.config import preset
from model.encoder.device import fastest_precision
from model.encoder.patches import patchify
from model.objectives import objective
from model.objectives.infonce import infonce
from model.training import optimizer
from model.training.config import TrainConfig
from model.training.learner import ModelWithHead
from model.training.malloc_tuning import keep_freed_memory
from model.training.step import TrainingStep
from model.training.stream import TrainingBatch
from stores.quantize import Quantizer

CLIPS, VISIBLE = 64, 5
config = TrainConfig(encoder=preset("myna-base"), shards="none", batch=CLIPS, steps=1, precision=fastest_precision())
codes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2 * CLIPS, 96, 128), dtype=np.uint8))
batch = TrainingBatch.from_windows(codes, torch.arange(CLIPS))
table = torch.tensor(Quantizer().table())


def our_step():
    """Return a function that runs one of our training steps."""
    learner = ModelWithHead(config)
    step = TrainingStep(learner, objective.build(config.objective, 1, 0), config, Quantizer())
    adam = optimizer.build(learner, config)

    def run() -> None:
        adam.zero_grad(set_to_none=True)
        step.backward(batch, 0)
        adam.step()

    return run


def public_step():
    """Return a function that runs one training step of the public code."""
    encoder = ModelWithHead(config).encoder
    adam = torch.optim.Adam(encoder.parameters(), lr=3e-4, weight_decay=1e-5, fused=False)
    views = table[codes.long()].transpose(1, 2).chunk(2)

    def embed(mel: torch.Tensor) -> torch.Tensor:
        tokens = encoder.embedding("square").embed(patchify(mel, (16, 16)))
        visible_indices = torch.stack([torch.randperm(48)[:VISIBLE] for _ in range(CLIPS)])
        visible = tokens.gather(1, visible_indices[..., None].expand(-1, -1, tokens.shape[-1]))
        return encoder.transformer(visible).mean(dim=1)

    def run() -> None:
        adam.zero_grad(set_to_none=True)
        infonce(embed(views[0]), embed(views[1]), 0.1).backward()
        adam.step()

    return run


if __name__ == "__main__":
    keep_freed_memory()  # for both steps, as model.train does
    compare(f"training step, myna-base, 64 x 2, {config.precision}", our_step(), public_step())
