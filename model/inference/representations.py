"""The representations by name: the embeddings of an encoder, and the baselines that they are compared with.

untrained      embeddings of the same encoder with its initial weights
mean-log-mel, mean-chroma, mfcc     features without an encoder, see `model.inference.baselines`
"""

from __future__ import annotations

from pathlib import Path

import torch

from model.encoder.vit import Encoder
from model.inference import checkpoints
from model.inference.baselines import mean_chroma_of_audio, mean_log_mel, mfcc
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.encoder_representation import EncoderRepresentation
from model.inference.extraction import ExtractionConfig
from model.inference.representation import BASELINES, FunctionRepresentation, Representation
from model.training import checkpoint
from model.training.learner import ModelWithHead
from pipeline.cluster.config import OptionalClusterSettings
from stores import locations
from stores.errors import InvalidInput

__all__ = ["BASELINES", "Representation", "baseline", "of_checkpoint"]

_FUNCTIONS = {"mean-log-mel": mean_log_mel, "mean-chroma": mean_chroma_of_audio, "mfcc": mfcc}


def of_checkpoint(
    path: Path, config: ExtractionConfig | None = None, cluster_settings: OptionalClusterSettings | None = None
) -> EncoderRepresentation:
    """Return the representation of the checkpoint at `path`, named after its run's folder or its published file.

    Args:
        path: a checkpoint that `model.inference.checkpoints.load` accepts.
        config: engine, windows and other options (default: those of `ExtractionConfig`).
        cluster_settings: Dask cluster that computes the features (default: this process).

    Raises:
        MissingArtifact, CorruptArtifact, InvalidInput: see `model.inference.checkpoints.load`.
    """
    config = config or ExtractionConfig()
    loaded = checkpoints.load(path, config.patches, config.input_scale)
    return EncoderRepresentation.of(loaded, config, cluster_settings)


def baseline(name: str, path: Path) -> Representation:
    """Return the baseline called `name`.

    Args:
        name: one of `BASELINES`.
        path: checkpoint whose encoder `untrained` uses with its initial weights.

    Raises:
        InvalidInput: there is no such baseline.
    """
    if name == "untrained":
        return _untrained(path)
    if name not in _FUNCTIONS:
        raise InvalidInput(f"baseline {name!r} is unknown; use one of {', '.join(BASELINES)}")
    return FunctionRepresentation(name, {}, _FUNCTIONS[name])


def _untrained(path: Path) -> EncoderRepresentation:
    """Return the encoder of a run with its initial weights, or one of the same sizes if the run is not known."""
    path = locations.encoder_of_run(path)
    if path.is_dir() or not checkpoint.is_of_this_project(path):
        return _untrained_like(checkpoints.load(path))
    config = checkpoint.load(path).config
    encoder = ModelWithHead(config).encoder.eval()
    name = f"untrained-{config.encoder.name}-{config.seed}"
    origin = {"encoder": config.encoder.to_dict(), "seed": config.seed}
    return EncoderRepresentation.of(LoadedCheckpoint(path, name, encoder, origin, {}))


def _untrained_like(loaded: LoadedCheckpoint) -> EncoderRepresentation:
    config = loaded.encoder.config
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        encoder = Encoder(config).eval()
    origin = {"encoder": config.to_dict(), "seed": 0}
    return EncoderRepresentation.of(LoadedCheckpoint(loaded.path, f"untrained-{config.name}-0", encoder, origin, {}))
