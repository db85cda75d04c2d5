"""The sidecar of an exported engine: `engine.json` beside its file says what it is, where it may run and how it did.

    NAME-PRECISION/
      engine.json      this
      encoder.onnx     or encoder.pt2, encoder.ep, encoder.plan

An exported engine may hold machine code (compiled, tensorrt). The digest tells damage and mix-ups, not malice: load
only what you exported yourself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from model.encoder.config import EncoderConfig
from stores.commit import write_json
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.quantize import Quantizer

FORMAT = "myna-engine-1"
FILE = "engine.json"


@dataclass(frozen=True, kw_only=True)
class EngineMetadata:
    """What is known of an exported engine."""

    name: str
    """Which engine."""
    precision: str
    """Of its products."""
    encoder: Mapping[str, Any]
    """The encoder's configuration."""
    weights: str
    """Fingerprint of the encoder's weights, as `model.encoder.weights.digest` gives it."""
    largest: int
    """Windows of its largest batch; for `compiled` of every batch."""
    quantizer: Mapping[str, Any] | None
    """Whose codes it reads; None for float32 power."""
    file: str
    """Name of the file beside this one."""
    sha256: str
    """Of that file."""
    versions: Mapping[str, str]
    """Software that made it."""
    device: Mapping[str, str]
    """Hardware that it was made for."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """How it compared with eager when it was made; empty until then, and where it could not run."""
    format: str = FORMAT
    """Of this file."""

    def write(self, folder: Path) -> None:
        """Write `engine.json` into `folder`."""
        write_json(folder / FILE, asdict(self))

    def config(self) -> EncoderConfig:
        """The encoder's configuration."""
        return EncoderConfig.from_dict(self.encoder)

    def codes(self) -> Quantizer | None:
        """The quantiser whose codes it reads."""
        return None if self.quantizer is None else Quantizer.from_dict(self.quantizer)

    def require_file(self, folder: Path) -> Path:
        """The engine's file.

        Raises:
            CorruptArtifact: it is not there, or not what was exported.
        """
        path = folder / self.file
        if not path.is_file() or sha256(path) != self.sha256:
            raise CorruptArtifact(f"{path} is not the file that {folder / FILE} describes; export it again")
        return path

    def require_weights(self, weights: str, folder: Path) -> None:
        """Check that it was made of the encoder with this fingerprint.

        Raises:
            DigestMismatch: it was made of another.
        """
        if self.weights != weights:
            raise DigestMismatch(
                f"{folder} was exported from an encoder with weights {self.weights}, the checkpoint has {weights}; "
                "name the checkpoint that it was made of, or export it again"
            )

    def require_here(self, versions: Mapping[str, str], device: Mapping[str, str]) -> None:
        """Check that the software and the hardware are those it was made with.

        Raises:
            DigestMismatch: naming each that differs.
        """
        there, here = {**self.versions, **self.device}, {**versions, **device}
        if differing := [
            f"{key} {there.get(key)} (here {here.get(key)})" for key in here if there.get(key) != here[key]
        ]:
            raise DigestMismatch(
                f"this {self.name} engine was made for {', '.join(differing)} and runs nowhere else; "
                f"make one for this machine with `python -m model.export {self.name}`"
            )


def read(folder: Path) -> EngineMetadata:
    """The sidecar in `folder`.

    Raises:
        MissingArtifact: none there.
        CorruptArtifact: it is not one of this version.
    """
    try:
        values = json.loads((folder / FILE).read_text("utf-8"))
    except FileNotFoundError as error:
        raise MissingArtifact(f"no exported engine in {folder}; make it with `python -m model.export`") from error
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{folder / FILE} cannot be read: {error}; export again") from error
    names = {one.name for one in fields(EngineMetadata)}
    if not isinstance(values, dict) or values.get("format") != FORMAT or set(values) != names:
        raise CorruptArtifact(f"{folder / FILE} is not a sidecar of this version ({FORMAT}); export again")
    sidecar = EngineMetadata(**values)
    try:
        sidecar.config(), sidecar.codes()
    except (InvalidInput, TypeError) as error:
        raise CorruptArtifact(f"{folder / FILE} cannot be used: {error}; export again") from error
    if Path(sidecar.file).name != sidecar.file:
        raise CorruptArtifact(f"{folder / FILE} names {sidecar.file!r}, which does not lie beside it; export again")
    return sidecar


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
