"""The representations there are: an encoder's embeddings, and what they have to beat."""

from __future__ import annotations

from pathlib import Path

from model.inference import checkpoints
from model.inference.baselines import mean_chroma_of_audio, mean_log_mel, mfcc
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.encoder_representation import EncoderRepresentation, WorkerSettings
from model.inference.extraction import ExtractionConfig
from model.inference.representation import Representation
from model.training import checkpoint
from model.training.learner import ModelWithHead
from stores.errors import InvalidInput

__all__ = ["BASELINES", "Representation", "baseline", "of_checkpoint"]

BASELINES = ("untrained", "mean-log-mel", "mean-chroma", "mfcc")


def of_checkpoint(
    path: Path, asked: ExtractionConfig | None = None, workers: WorkerSettings | None = None
) -> EncoderRepresentation:
    """The embeddings of the checkpoint at `path`, named for its run's folder, or for the file that was published.

    Args:
        path: any checkpoint that `model.inference.checkpoints.load` reads.
        asked: engine, windows and what else is not as usual.
        workers: where to compute, if not here.

    Raises:
        MissingArtifact, CorruptArtifact, InvalidInput: as `loading.load`.
    """
    asked = asked or ExtractionConfig()
    return EncoderRepresentation.of(checkpoints.load(path, asked.patches, asked.input_scale), asked, workers)


def baseline(name: str, path: Path) -> Representation:
    """One of `BASELINES`; `path` is the checkpoint whose encoder `untrained` starts from.

    Raises:
        InvalidInput: no such baseline.
    """
    if name == "untrained":
        return _untrained(path)
    if name == "mean-log-mel":
        return Representation(name, {}, mean_log_mel)
    if name == "mean-chroma":
        return Representation(name, {}, mean_chroma_of_audio)
    if name == "mfcc":
        return Representation(name, {}, mfcc)
    raise InvalidInput(f"baseline {name!r} is unknown; use one of {BASELINES}")


def _untrained(path: Path) -> EncoderRepresentation:
    config = checkpoint.load(path).config
    encoder = ModelWithHead(config).encoder.eval()
    name = f"untrained-{config.encoder.name}-{config.seed}"
    origin = {"encoder": config.encoder.to_dict(), "seed": config.seed}
    return EncoderRepresentation.of(LoadedCheckpoint(path, name, encoder, origin, {}))
