"""`--init CHECKPOINT`: a run that begins with the weights of another, not with drawn ones.

The encoder is taken whole or not at all. Head or decoder are taken where all of their shapes fit, else they start as
drawn. The optimizer's moments and what an objective remembers of clips are never taken: they belong to the other run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import nn

from model.encoder.config import EncoderConfig
from model.training import checkpoint
from model.training.checkpoint import Checkpoint
from model.training.config import TrainConfig
from model.training.learner import MaskedAutoencoder, ModelWithHead
from stores import digest
from stores.errors import InvalidInput, MissingArtifact
from stores.labels import count_noun

LABELS = ("name", "window_frames")
"""Facts of an encoder that its weights do not depend on: positions are computed for any number of frames."""


def digest_of(path: Path) -> str:
    """First 16 hex digits of the file's SHA-256: what `TrainConfig.init` records.

    Raises:
        MissingArtifact: no file there.
    """
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path} to begin with; give --init the path of one, or leave it out")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def take(path: Path | None, learner: ModelWithHead | MaskedAutoencoder, config: TrainConfig) -> str:
    """Put the weights of the checkpoint at `path` in place of those that were drawn.

    Args:
        path: the file that `config.init` is the digest of.
        learner: of a run that has not begun.
        config: of the run.

    Returns:
        What was taken and what was not, in words.

    Raises:
        InvalidInput: no path, another file than the settings name, or an encoder that does not fit, and in what.
        MissingArtifact, CorruptArtifact: as `checkpoint.load`.
        DigestMismatch: it heard mel of another definition.
    """
    if path is None or digest_of(path) != config.init:
        raise InvalidInput(f"the run begins with the checkpoint of digest {config.init}, not {path}: give --init that")
    start = checkpoint.load(path)
    if config.mel:
        digest.diff_settings(start.config.mel, config.mel)
    _require_same_encoder(start.config.encoder, config.encoder, path)
    learner.encoder.load_state_dict(start.build_encoder().state_dict())
    heads = {name: part for name, part in learner.named_children() if name != "encoder"}
    told = [f"{name} {_load_if_it_fits(start, name, part)}" for name, part in heads.items()]
    return f"began with {path} after {count_noun(start.step, 'step')}: encoder taken, {', '.join(told)}, moments start at 0"


def _require_same_encoder(theirs: EncoderConfig, ours: EncoderConfig, path: Path) -> None:
    before, now = _facts(theirs), _facts(ours)
    if differing := [f"{key}: {before[key]!r} there, {now[key]!r} here" for key in now if before[key] != now[key]]:
        raise InvalidInput(
            f"the encoder of {path} does not fit; choose the --preset and --input-scale that it was trained with:\n"
            + "\n".join(differing)
        )


def _facts(config: EncoderConfig) -> dict[str, Any]:
    return {key: value for key, value in config.to_dict().items() if key not in LABELS}


def _load_if_it_fits(start: Checkpoint, name: str, part: nn.Module) -> str:
    wanted = part.state_dict()
    found = {key.removeprefix(f"{name}."): one for key, one in start.tensors.items() if key.startswith(f"{name}.")}
    if {key: one.shape for key, one in found.items()} != {key: one.shape for key, one in wanted.items()}:
        return "drawn (the checkpoint has none that fits)"
    part.load_state_dict(found)
    return "taken"
