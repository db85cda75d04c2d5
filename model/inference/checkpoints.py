"""Loading of an encoder from a checkpoint of this project, a published file, or a folder in the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.encoder import hub, published, published_folder
from model.encoder.published import select_patch_kind
from model.encoder.vit import Encoder
from model.encoder.window_size import resize_window
from model.training import checkpoint
from stores import locations
from stores.errors import InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec

PUBLISHED_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
PUBLISHED_MEL: Mapping[str, Any] = {"mel_spec": MelSpec().to_dict()}
"""The mels that the published models were trained on, as far as they are known: their specification is the default."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """An encoder with its name and its origin."""

    path: Path
    """Path that the checkpoint was read from."""
    name: str
    """Name for its features, which is that of the run, the file or the folder."""
    encoder: Encoder
    """The encoder, in evaluation mode on the CPU."""
    origin: Mapping[str, Any]
    """Origin of the encoder, as JSON values for provenance."""
    mel: Mapping[str, Any]
    """Settings of the mels that the encoder was trained on; empty if they are unknown."""

    @property
    def mel_spec(self) -> MelSpec:
        """Specification of these mels; if it is unknown, the default one with as many bins as the encoder reads."""
        if self.mel:
            return MelSpec.from_dict(self.mel["mel_spec"])
        return replace(MelSpec(), n_mels=self.encoder.config.n_mels)

    def with_window(self, window_frames: int) -> LoadedCheckpoint:
        """Return the checkpoint for windows of `window_frames` frames, with another name if the length is another.

        Raises:
            InvalidInput: the window does not divide into patches.
        """
        encoder = resize_window(self.encoder, window_frames)
        if encoder is self.encoder:
            return self
        origin = {**self.origin, "window_frames": window_frames}
        return replace(self, name=f"{self.name}-window{window_frames}", encoder=encoder, origin=origin)


def load(path: Path, patches: str = "auto", input_scale: str | None = None) -> LoadedCheckpoint:
    """Load the checkpoint at `path`.

    Args:
        path: `encoder.safetensors` or another checkpoint of this project, the folder of a finished run, a published
            file of weights (`.pth`, `.ckpt` or `.safetensors`), or a folder in the hub's layout.
        patches: auto, square, vertical or hybrid. For a hybrid, square or vertical selects one kind of patch.
        input_scale: input scale that a published checkpoint was trained with, which its file does not state. For
            other checkpoints it must agree with the stored value.

    Raises:
        MissingArtifact: there is no checkpoint at `path`.
        CorruptArtifact: this version cannot read the file, or its weights do not fit.
        InvalidInput: the checkpoint does not have these patches or this input scale.
    """
    path = locations.encoder_of_run(path)
    loaded = _read(path, patches, input_scale)
    if input_scale not in (None, loaded.encoder.config.input_scale):
        raise InvalidInput(f"{path} was trained on {loaded.encoder.config.input_scale} mel, not on {input_scale}")
    encoder = select_patch_kind(loaded.encoder, patches)
    if encoder is loaded.encoder:
        return loaded
    origin = {**loaded.origin, "patches": patches}
    return LoadedCheckpoint(path, f"{loaded.name}-{patches}", encoder, origin, loaded.mel)


def load_encoder(path: Path | str, patches: str = "auto", input_scale: str | None = None) -> Encoder:
    """Return the encoder of a checkpoint, in evaluation mode on the CPU.

    The encoder is a module that turns float32 power mels `[B, n_mels, N]` into embeddings `[B, D]`. N is any number of
    frames that divides into whole patches, usually 96. D is 384 for the published Base and Vertical. It is 768 for
    Hybrid, whose embedding from square patches comes before the embedding from vertical patches.

    Args:
        path: a checkpoint of this project, finished or not; the folder of a finished run; a published `.pth` file; or
            a folder in the hub's layout.
        patches: auto, square, vertical or hybrid. It is needed if the name of a published file does not contain it.
            For a hybrid, square or vertical selects one kind of patch.
        input_scale: input scale that a published checkpoint was trained with: power (also if None), log1p or log.

    Raises:
        MissingArtifact, CorruptArtifact, InvalidInput: see `load`.
    """
    return load(Path(path), patches, input_scale).encoder


def _read(path: Path, patches: str, input_scale: str | None) -> LoadedCheckpoint:
    if path.name == hub.WEIGHTS and (path.parent / hub.CONFIG).is_file():
        path = path.parent  # the weights of a folder, without which the input scale and the mel would be guessed
    if path.is_dir() and published_folder.is_published(path):
        name, encoder = published_folder.model_name(path), published_folder.read(path, patches, input_scale)
        origin: dict[str, Any] = {"published": name, "encoder": encoder.config.to_dict()}
        return LoadedCheckpoint(path, name, encoder, {**origin, **published_folder.repository(path)}, PUBLISHED_MEL)
    if path.is_dir():
        folder = hub.read(path)
        mel = folder.mel or (PUBLISHED_MEL if "published" in folder.origin else {})
        return LoadedCheckpoint(path, published_folder.model_name(path), folder.encoder, folder.origin, mel)
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; train one with `python -m model.train --store STORE`")
    if not checkpoint.is_of_this_project(path):
        encoder = published.read(path, patches, input_scale)
        origin = {"published": path.stem, "encoder": encoder.config.to_dict()}
        return LoadedCheckpoint(path, path.stem, encoder, origin, PUBLISHED_MEL)
    trained = checkpoint.load(path)
    origin = {"run": trained.config.to_dict(), "step": trained.step}
    return LoadedCheckpoint(path, path.resolve().parent.name, trained.build_encoder(), origin, trained.config.mel)
