"""A trained probe and its file.

The file is a safetensors file with the tensors `mean`, `deviation`, `weight.0`, `bias.0` and so on. Its header holds
JSON that describes the outputs and the features that the probe was trained on. Nothing is pickled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from model.encoder import tensor_file
from model.probes.hybrid_slices import SLICES
from model.probes.song_aggregation import AGGREGATIONS
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training_reference import TrainingReference
from stores import locations, mapped_array
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.feature_array import MAX_WIDTH

FORMAT = "myna-probe-1"
KINDS = ("classes", "key", "tags", "numbers")
"""Kinds of tasks that a probe can have."""


@dataclass(frozen=True)
class Probe:
    """A trained probe: standardizer, weights and metadata."""

    mean: Tensor
    """Number that is subtracted from each feature, `[D]`. Zeros if the features are not standardized."""
    deviation: Tensor
    """Number by which each feature is then divided, `[D]`. Ones if the features are not standardized."""
    weights: MlpWeights
    """Weights of one probe, `[1, out, in]` and `[1, out]` for each layer."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """JSON values: task, kind, classes, song-level aggregation (`vote`), columns of the embedding, configuration,
    scores, calibration, and provenance of the features."""
    reference: TrainingReference | None = None
    """Training embeddings, by which inputs that are unlike all of them are recognized. None if it has none."""

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs before softmax or sigmoid, `[clips, C]`, for features `[clips, D]`."""
        # One array for all outputs: an array of each block would lie between freed blocks, which could not be returned.
        outputs = np.empty((len(features), self.weights.tensors[-1].shape[-1]), np.float32)
        with torch.inference_mode():
            for block in mapped_array.blocks(features):
                outputs[block] = self._outputs(features[block])
        return outputs

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        standardized = (torch.from_numpy(features).float() - self.mean) / self.deviation
        outputs: NDArray[np.float32] = self.weights.outputs(standardized[None], torch.float32)[0].numpy()
        return outputs

    @property
    def temperature(self) -> float:
        """Number by which outputs are divided before softmax or sigmoid; 1 if the probe was not calibrated."""
        return float(self.metadata.get("calibration", {}).get("temperature", 1.0))

    def write(self, path: Path) -> None:
        """Write the probe to `path`, atomically."""
        tensors = {"mean": self.mean, "deviation": self.deviation}
        for layer in range(len(self.weights.tensors) // 2):
            tensors[f"weight.{layer}"] = self.weights.tensors[2 * layer][0]
            tensors[f"bias.{layer}"] = self.weights.tensors[2 * layer + 1][0]
        tensors |= self.reference.tensors() if self.reference else {}
        tensor_file.write(path, FORMAT, tensors, self.metadata)

    @classmethod
    def read(cls, path: Path) -> Probe:
        """Return the probe in the file `path`, which `write` has written.

        Raises:
            MissingArtifact: there is no such file.
            CorruptArtifact: the file is not a probe of this format, or its tensors do not fit together.
        """
        if not path.is_file():
            raise MissingArtifact(f"no probe at {path}; `python -m model.probe DATASET` writes the winning probes")
        try:
            tensors, metadata = tensor_file.read(path, FORMAT)
            _validate_metadata(metadata)
            layers = sum(name.startswith("weight.") for name in tensors)
            names = [f"{kind}.{layer}" for layer in range(layers) for kind in ("weight", "bias")]
            weights = MlpWeights(tuple(tensors[name][None] for name in names))
            _validate(tensors["mean"], tensors["deviation"], weights, metadata)
            reference = TrainingReference.from_tensors(tensors, len(tensors["mean"]))
            return cls(tensors["mean"], tensors["deviation"], weights, metadata, reference)
        except (
            CorruptArtifact,
            SafetensorError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            InvalidInput,
        ) as error:
            raise CorruptArtifact(
                f"{path} is not a probe that this version reads: {error}; run `python -m model.probe DATASET` again"
            ) from error


def _validate_metadata(metadata: Any) -> None:
    """Check everything in the metadata that is read later. The name of the task becomes part of file names."""
    locations.validate_name(metadata["task"])
    for key, choices in (("kind", KINDS), ("vote", ("", *AGGREGATIONS)), ("part", ("", *SLICES))):
        if metadata[key] not in choices:
            raise ValueError(f"its {key} is {str(metadata[key])[:40]!r}; it must be one of {', '.join(choices)}")
    start, stop = metadata["columns"]
    if not (type(start) is int and type(stop) is int and 0 <= start < stop <= MAX_WIDTH):
        raise ValueError(f"its columns are {str(metadata['columns'])[:40]}; they must be within 0 to {MAX_WIDTH}")
    temperature = metadata.get("calibration", {}).get("temperature", 1.0)
    if type(temperature) not in (int, float) or not 0 < temperature < math.inf:
        raise ValueError(f"its temperature is {str(temperature)[:40]}, and a positive number is needed")
    if not isinstance(metadata["features"], dict):
        raise ValueError("the provenance of its features is not an object")


def _validate(mean: Tensor, deviation: Tensor, weights: MlpWeights, metadata: Any) -> None:
    """Check that the tensors of a file fit together and to the names of the outputs."""
    start, stop = metadata["columns"]
    if mean.shape != (stop - start,):
        raise ValueError(f"its standardizer has the shape {tuple(mean.shape)}, and it reads {stop - start} columns")
    width = len(mean)
    tensors = [mean, deviation, *weights.tensors]
    if not weights.tensors or any(tensor.dtype != torch.float32 or not tensor.isfinite().all() for tensor in tensors):
        raise ValueError("a tensor is missing, is not float32, or has values that are not finite")
    if mean.shape != deviation.shape or not (deviation > 0).all():
        raise ValueError("the standardizer's deviation differs from its mean in shape, or is not positive")
    for weight, bias in zip(weights.tensors[::2], weights.tensors[1::2], strict=True):
        if weight.shape != (1, bias.shape[1], width):
            raise ValueError(f"a layer has the shape {tuple(weight.shape)}, but its input has {width} numbers")
        width = bias.shape[1]
    classes = metadata["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("the names of its outputs are not a list of text")
    if len(set(classes)) != width or len(classes) != width:
        raise ValueError(f"it has {width} outputs and {len(set(classes))} different names; each output needs its own")
