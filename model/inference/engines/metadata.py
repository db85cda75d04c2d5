"""The metadata of an exported engine: `engine.json` states its settings, where it can run, and its export validation.

    NAME-PRECISION/
      engine.json      the metadata
      encoder.onnx     or encoder.pt2, encoder.ep, encoder.plan

An exported engine can contain machine code (compiled, tensorrt). The digest detects damage and confusion of files, but
no attack, so load only engines that you exported yourself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from model.encoder.config import EncoderConfig
from stores.commit import read_bounded, write_json
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.json_codec import parse_json
from stores.quantize import Quantizer

FORMAT = "myna-engine-1"
FILE = "engine.json"
MAX_BYTES = 1 << 20
"""Largest file of metadata that is read."""


@dataclass(frozen=True, kw_only=True)
class EngineMetadata:
    """The content of `engine.json`."""

    name: str
    """Name of the engine."""
    precision: str
    """Precision of matrix products."""
    encoder: Mapping[str, Any]
    """Configuration of the encoder."""
    weights: str
    """Digest of the encoder's weights, computed by `model.encoder.weights.digest`."""
    largest: int
    """Number of windows of the maximum batch, and of every batch of `compiled`."""
    quantizer: Mapping[str, Any] | None
    """Quantizer whose codes are the input; None for float32 power."""
    file: str
    """Name of the engine's file in the same folder."""
    sha256: str
    """SHA-256 of that file."""
    versions: Mapping[str, str]
    """Versions of the software that made the engine."""
    device: Mapping[str, str]
    """Hardware that the engine was made for."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """Result of the export validation; empty before it."""
    format: str = FORMAT
    """Format of `engine.json`."""

    def write(self, folder: Path) -> None:
        """Write `engine.json` into `folder`."""
        write_json(folder / FILE, asdict(self))

    def encoder_config(self) -> EncoderConfig:
        """Return the configuration of the encoder."""
        return EncoderConfig.from_dict(self.encoder)

    def code_quantizer(self) -> Quantizer | None:
        """Return the quantizer whose codes are the input; None for power."""
        return None if self.quantizer is None else Quantizer.from_dict(self.quantizer)

    def require_file(self, folder: Path) -> Path:
        """Return the path of the engine's file, after a check of its content.

        Raises:
            CorruptArtifact: the file is missing, or is not the exported one.
        """
        path = folder / self.file
        if not path.is_file() or file_sha256(path) != self.sha256:
            raise CorruptArtifact(f"{path} is not the file that {folder / FILE} describes; export the engine again")
        return path

    def require_weights(self, weights: str, folder: Path) -> None:
        """Check that the engine was exported from the weights with this digest.

        Raises:
            DigestMismatch: it was exported from other weights.
        """
        if self.weights != weights:
            raise DigestMismatch(
                f"{folder} was exported from an encoder with weights {self.weights}, but the checkpoint has {weights}; "
                "name the checkpoint that it was exported from, or export it again"
            )

    def require_environment(self, versions: Mapping[str, str], device: Mapping[str, str]) -> None:
        """Check that software and hardware are those that the engine was made with.

        Args:
            versions: versions of the software of this machine; those that are not listed are not checked.
            device: hardware of this machine.

        Raises:
            DigestMismatch: they differ; the error names each difference.
        """
        required, current = {**self.versions, **self.device}, {**versions, **device}
        differences = [
            f"{key} {required.get(key)} (this machine: {value})"
            for key, value in current.items()
            if required.get(key) != value
        ]
        if differences:
            raise DigestMismatch(
                f"this {self.name} engine was made for {', '.join(differences)} and cannot run on another; "
                f"export one for this machine with `python -m model.export {self.name}`"
            )


def read(folder: Path) -> EngineMetadata:
    """Read the metadata of the engine in `folder`.

    Raises:
        MissingArtifact: there is no `engine.json`.
        CorruptArtifact: it is damaged, or of another version.
    """
    path = folder / FILE
    try:
        values = parse_json(read_bounded(path, MAX_BYTES))
    except FileNotFoundError as error:
        raise MissingArtifact(f"no exported engine in {folder}; create it with `python -m model.export`") from error
    except (OSError, ValueError, CorruptArtifact) as error:
        raise CorruptArtifact(f"{path} cannot be read: {error}; export the engine again") from error
    names = {field.name for field in fields(EngineMetadata)}
    if not isinstance(values, dict) or values.get("format") != FORMAT or set(values) != names:
        raise CorruptArtifact(f"{path} is not engine metadata of this version ({FORMAT}); export the engine again")
    metadata = EngineMetadata(**values)
    try:
        metadata.encoder_config(), metadata.code_quantizer()
    except (InvalidInput, TypeError) as error:
        raise CorruptArtifact(f"{path} cannot be used: {error}; export the engine again") from error
    if Path(metadata.file).name != metadata.file:
        raise CorruptArtifact(f"{path} names {metadata.file!r}, which is not in its folder; export the engine again")
    return metadata


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
