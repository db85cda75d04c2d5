"""Any checkpoint -> its encoder and what is known of it: ours, published ones, and folders of the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.encoder import hub, published
from model.encoder.published import narrowed
from model.encoder.vit import Encoder
from model.training import checkpoint
from stores import locations
from stores.errors import InvalidInput, MissingArtifact

PUBLISHED_SUFFIXES = (".pth", ".pt", ".bin")


@dataclass(frozen=True)
class LoadedCheckpoint:
    """An encoder and what is known of it."""

    path: Path
    """Where it was read."""
    name: str
    """What its features are named for: a run, a file, a folder."""
    encoder: Encoder
    """In evaluation mode, on the CPU."""
    origin: Mapping[str, Any]
    """How it came about, for provenance, JSON."""
    mel: Mapping[str, Any]
    """How the recordings that it heard became mel; empty where that is unknown."""


def load(path: Path, patches: str = "auto", input_scale: str | None = None) -> LoadedCheckpoint:
    """Read whatever lies at `path`.

    Args:
        path: `encoder.safetensors` or another checkpoint of ours, a finished run's folder, a published `.pth`, or a
            folder in the hub's layout.
        patches: auto, square, vertical or hybrid; of a hybrid, one kind of patch may be chosen.
        input_scale: what a published checkpoint was trained on, which it cannot say; the others can.

    Raises:
        MissingArtifact: nothing there.
        CorruptArtifact: no checkpoint that this version reads, or weights that do not fit.
        InvalidInput: patches or an input scale that it does not have.
    """
    path = locations.encoder_of_run(path)
    found = _found(path, patches, input_scale)
    if input_scale not in (None, found.encoder.config.input_scale):
        raise InvalidInput(f"{path} was trained on {found.encoder.config.input_scale} mel, not on {input_scale}")
    encoder = narrowed(found.encoder, patches)
    if encoder is found.encoder:
        return found
    return LoadedCheckpoint(path, f"{found.name}-{patches}", encoder, {**found.origin, "patches": patches}, found.mel)


def load_encoder(path: Path | str, patches: str = "auto", input_scale: str | None = None) -> Encoder:
    """The encoder of a checkpoint, in evaluation mode on the CPU.

    Calling it turns float32 power mels `[B, 128, 96]` into embeddings `[B, D]`: 384 for the published Base and
    Vertical, 768 for Hybrid, the square reading before the vertical one.

    Args:
        path: a checkpoint of ours, finished or not; a finished run's folder; a published `.pth`; or a folder in the
            hub's layout.
        patches: auto, square, vertical or hybrid; needed where a published file's name does not say it. Of a hybrid,
            one kind may be chosen.
        input_scale: what a published checkpoint was trained on: power (also if None), log1p or log.

    Raises:
        MissingArtifact, CorruptArtifact, InvalidInput: as `load`.
    """
    return load(Path(path), patches, input_scale).encoder


def _found(path: Path, patches: str, input_scale: str | None) -> LoadedCheckpoint:
    if path.is_dir():
        pretrained = hub.read(path)
        return LoadedCheckpoint(path, path.resolve().name, pretrained.encoder, pretrained.origin, pretrained.mel)
    if path.suffix in PUBLISHED_SUFFIXES:
        encoder = published.read(path, patches, input_scale)
        return LoadedCheckpoint(
            path, path.stem, encoder, {"published": path.stem, "encoder": encoder.config.to_dict()}, {}
        )
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; train one with `python -m model.train --store STORE`")
    ours = checkpoint.load(path)
    origin = {"run": ours.config.to_dict(), "step": ours.step}
    return LoadedCheckpoint(path, path.resolve().parent.name, ours.build_encoder(), origin, ours.config.mel)
