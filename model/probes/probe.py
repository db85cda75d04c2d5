"""A trained probe as it is kept: standardiser, weights, what its outputs mean and whose embeddings it reads.

One safetensors file: the tensors `mean`, `deviation`, `weight.0`, `bias.0`, ..., and JSON in the header. No pickles.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.probes.training.batched_mlp import MlpWeights
from stores.commit import atomic_write
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

FORMAT = "myna-probe-1"


@dataclass(frozen=True)
class Probe:
    """One probe."""

    mean: Tensor
    """`[D]`: what is taken from the features; zeros where it is not standardised."""
    deviation: Tensor
    """`[D]`: what they are divided by; ones where it is not standardised."""
    weights: MlpWeights
    """Of one probe, `[1, out, in]` and `[1, out]` for each layer."""
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON: task, kind, classes, vote, columns of the embedding, config, scores, provenance of the features."""

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `[clips, C]`, before softmax or sigmoid, for features `[clips, D]`."""
        scaled = (torch.from_numpy(features).float() - self.mean) / self.deviation
        with torch.inference_mode():
            found: NDArray[np.float32] = self.weights.outputs(scaled[None], torch.float32)[0].numpy()
        return found

    def write(self, path: Path) -> None:
        """Write to `path`, atomically."""
        tensors = {"mean": self.mean, "deviation": self.deviation}
        for layer in range(len(self.weights.tensors) // 2):
            tensors[f"weight.{layer}"] = self.weights.tensors[2 * layer][0]
            tensors[f"bias.{layer}"] = self.weights.tensors[2 * layer + 1][0]
        header = {"format": FORMAT, "facts": json.dumps(self.facts, ensure_ascii=False, allow_nan=False)}
        with atomic_write(path) as temporary:
            save_file({name: one.contiguous() for name, one in tensors.items()}, temporary, metadata=header)

    @classmethod
    def read(cls, path: Path) -> Probe:
        """Read what `write` wrote.

        Raises:
            MissingArtifact: nothing there.
            CorruptArtifact: not such a file, or its tensors do not fit together.
        """
        if not path.is_file():
            raise MissingArtifact(f"no probe at {path}; `python -m model.probe DATASET` keeps those that won")
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
            if header.get("format") != FORMAT:
                raise ValueError(f"its format is {header.get('format')!r}, this version reads {FORMAT!r}")
            facts = json.loads(header["facts"])
            layers = (len(tensors) - 2) // 2
            names = [f"{part}.{layer}" for layer in range(layers) for part in ("weight", "bias")]
            weights = MlpWeights(tuple(tensors[name][None] for name in names))
            _require_fitting(tensors["mean"], tensors["deviation"], weights, facts)
            return cls(tensors["mean"], tensors["deviation"], weights, facts)
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
            raise CorruptArtifact(f"{path} is not a probe that this version reads: {error}") from error


def _require_fitting(mean: Tensor, deviation: Tensor, weights: MlpWeights, facts: Any) -> None:
    width = len(mean)
    tensors = [mean, deviation, *weights.tensors]
    if not weights.tensors or any(one.dtype != torch.float32 or not one.isfinite().all() for one in tensors):
        raise ValueError("its tensors are not finite float32, or missing")
    if mean.shape != deviation.shape or not (deviation > 0).all():
        raise ValueError("its standardiser does not fit")
    for weight, bias in zip(weights.tensors[::2], weights.tensors[1::2], strict=True):
        if weight.shape != (1, bias.shape[1], width):
            raise ValueError(f"a layer is {tuple(weight.shape)}, but reads {width} numbers")
        width = bias.shape[1]
    if len(facts["classes"]) != width or not all(isinstance(one, str) for one in facts["classes"]):
        raise ValueError(f"it has {width} outputs, but names {len(facts['classes'])}")
