"""`--init CHECKPOINT`: a run starts with the weights of another run or of a published model instead of random weights.

The encoder is loaded as a whole. The head or decoder is loaded if all of its shapes fit, and is initialized randomly
otherwise. The optimizer's moments and the objective's memory of clips are never loaded, because they belong to the
other run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from model.encoder import hub, published, published_folder
from model.encoder.config import EncoderConfig
from model.encoder.vit import Encoder
from model.training import checkpoint
from model.training.config import TrainConfig
from model.training.learner import MaskedAutoencoder, ModelWithHead
from stores import digest
from stores.errors import InvalidInput, MissingArtifact
from stores.labels import count_noun

IGNORED_SETTINGS = ("name", "window_frames")
"""Settings of an encoder on which its weights do not depend: positions are computed for any number of frames."""


def checkpoint_digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of the file of weights, which `TrainConfig.init` records.

    Raises:
        MissingArtifact: there is no such file.
    """
    weights = _weights_file(path)
    if not weights.is_file():
        raise MissingArtifact(
            f"no checkpoint at {path}; give --init the path of a checkpoint, the name of a finished run, or a model of "
            "the hub, or leave it out"
        )
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def initialize_from(path: Path | None, model: ModelWithHead | MaskedAutoencoder, config: TrainConfig) -> str:
    """Replace the random weights of `model` by those of the checkpoint at `path`.

    Args:
        path: the file whose digest is `config.init`.
        model: model of a run that has not started.
        config: settings of that run.

    Returns:
        A sentence that states which weights were loaded and which were not.

    Raises:
        InvalidInput: there is no path, the file is not the one that the settings name, or the encoder does not fit. The
            last error lists the differences.
        MissingArtifact, CorruptArtifact: as for `checkpoint.load`.
        DigestMismatch: the checkpoint was trained on a different mel definition.
    """
    if path is None or checkpoint_digest(path) != config.init:
        raise InvalidInput(f"--init must name the checkpoint with the digest {config.init} (got {path})")
    source = _read(path, config.encoder)
    if config.mel and source.mel:
        digest.diff_settings(source.mel, config.mel, (str(path), "the store of this run"))
    _require_same_encoder(source.encoder.config, config.encoder, path)
    model.encoder.load_state_dict(source.encoder.state_dict())
    heads = {name: module for name, module in model.named_children() if name != "encoder"}
    outcomes = [f"{name} {_load_if_it_fits(source, name, module)}" for name, module in heads.items()]
    return (
        f"initialized from {path}{source.progress}: encoder loaded, {', '.join(outcomes)}, optimizer moments start at 0"
    )


@dataclass(frozen=True)
class _Source:
    """The content of a checkpoint, of this project or published."""

    encoder: Encoder
    tensors: Mapping[str, Tensor]
    """All tensors of the checkpoint by name, among them those of a head."""
    mel: Mapping[str, Any]
    """Mel definition of the training data, or nothing if it is unknown."""
    progress: str
    """The number of steps in words, if it is known."""


def _read(path: Path, config: EncoderConfig) -> _Source:
    """Return a checkpoint. Patches and scale, which a published file does not state, come from `config`."""
    if path.is_dir() and published_folder.is_published(path):
        return _Source(published_folder.read(path, _patches(config), config.input_scale), {}, {}, "")
    if path.is_dir():
        folder = hub.read(path)
        return _Source(folder.encoder, {}, folder.mel, "")
    if not checkpoint.is_of_this_project(path):
        return _Source(published.read(path, _patches(config), config.input_scale), {}, {}, "")
    source = checkpoint.load(path)
    progress = f" after {count_noun(source.step, 'step')}"
    return _Source(source.build_encoder(), source.tensors, source.config.mel, progress)


def _patches(config: EncoderConfig) -> str:
    return "auto" if config.patches == "hybrid" else config.patches


def _weights_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    return next((path / name for name in published_folder.WEIGHT_FILES if (path / name).is_file()), path / hub.WEIGHTS)


def _require_same_encoder(source: EncoderConfig, target: EncoderConfig, path: Path) -> None:
    loaded, wanted = _compared_settings(source), _compared_settings(target)
    differences = [
        f"{key}: {loaded[key]!r} in the checkpoint, {wanted[key]!r} in this run"
        for key in wanted
        if loaded[key] != wanted[key]
    ]
    if differences:
        raise InvalidInput(
            f"the encoder of {path} does not fit; choose the --preset and --input-scale that it was trained with:\n"
            + "\n".join(differences)
        )


def _compared_settings(config: EncoderConfig) -> dict[str, Any]:
    return {key: value for key, value in config.to_dict().items() if key not in IGNORED_SETTINGS}


def _load_if_it_fits(source: _Source, name: str, module: nn.Module) -> str:
    """Load the weights of the child module `name` if all shapes fit; return the outcome in words."""
    prefix = f"{name}."
    weights = {key.removeprefix(prefix): tensor for key, tensor in source.tensors.items() if key.startswith(prefix)}
    shapes = {key: tensor.shape for key, tensor in module.state_dict().items()}
    if {key: tensor.shape for key, tensor in weights.items()} != shapes:
        return "initialized randomly (the checkpoint has none that fits)"
    module.load_state_dict(weights)
    return "loaded"
