"""The inference engines by name: the location, the export and the opening of an engine.

runs/NAME/encoder.engines/onnx-fp32/     beside the checkpoint runs/NAME/encoder.safetensors
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from model.encoder import weights
from model.encoder.device import fastest_precision
from model.encoder.vit import Encoder
from model.inference.checkpoints import PUBLISHED_SUFFIXES
from model.inference.engines import compiled, metadata, onnx, tensorrt, tensorrt_rtx
from model.inference.engines.compiled import Compiled
from model.inference.engines.eager import Eager
from model.inference.engines.engine import ENGINES, Engine
from model.inference.engines.export import ExportPlan
from model.inference.engines.forward import PRECISIONS
from model.inference.engines.metadata import EngineMetadata
from model.inference.engines.onnx import Onnx
from model.inference.engines.tensorrt import TensorRT
from model.inference.engines.tensorrt_rtx import TensorRTRTX
from model.inference.layers import Layer
from stores.errors import InvalidInput, MissingArtifact
from stores.quantize import Quantizer

EXPORTERS: dict[str, ModuleType] = {
    "compiled": compiled,
    "onnx": onnx,
    "tensorrt": tensorrt,
    "tensorrt-rtx": tensorrt_rtx,
}
"""Module of each engine that can be exported, with `require`, `build`, `versions` and `device`."""
_CLASSES: dict[str, type[Compiled | Onnx | TensorRT | TensorRTRTX]] = {
    "compiled": Compiled,
    "onnx": Onnx,
    "tensorrt": TensorRT,
    "tensorrt-rtx": TensorRTRTX,
}
CHECKPOINT_SUFFIXES = (".safetensors", *PUBLISHED_SUFFIXES)
FP32_ENGINES = ("onnx",)
"""Engines whose runtime has no bf16 products on a CPU."""


def resolve_precision(name: str, precision: str) -> str:
    """Return the precision of an engine, which for `auto` is the fastest on this machine.

    Raises:
        InvalidInput: the engine or the precision is unknown, or the engine does not support the precision.
    """
    if name not in ENGINES:
        raise InvalidInput(f"engine {name!r} is unknown; use one of {', '.join(ENGINES)}")
    if precision not in ("auto", *PRECISIONS):
        raise InvalidInput(f"precision {precision!r} is unknown; use one of auto, {', '.join(PRECISIONS)}")
    if name in FP32_ENGINES:
        if precision == "bf16":
            raise InvalidInput(f"--precision must be auto or fp32 for engine {name}, which computes in fp32 only")
        return "fp32"
    return fastest_precision() if precision == "auto" else precision


def engine_folder(checkpoint: Path, name: str, precision: str, window_frames: int = 96) -> Path:
    """Return the folder of the engine that is exported from `checkpoint` with this name and precision."""
    window = "" if window_frames == 96 else f"-window{window_frames}"
    return checkpoint.with_suffix(".engines") / f"{name}-{precision}{window}"


def checkpoint_beside(folder: Path) -> Path | None:
    """Return the checkpoint beside the engine in `folder`; None if the engine was moved away from it."""
    engines = folder.absolute().parent
    if engines.suffix != ".engines" or not engines.is_dir():
        return None
    beside = [path for path in engines.parent.iterdir() if path.with_suffix(".engines") == engines and path != engines]
    files_first = sorted(beside, key=lambda path: (path.suffix != ".safetensors", path.is_dir(), path.name))
    return next((path for path in files_first if path.suffix in CHECKPOINT_SUFFIXES or path.is_dir()), None)


def require(name: str) -> None:
    """Check the requirements of an export that are known in advance.

    Raises:
        MissingArtifact: a package, a compiler or a GPU is missing.
    """
    EXPORTERS[name].require()


def export(encoder: Encoder, name: str, plan: ExportPlan, folder: Path) -> EngineMetadata:
    """Write an engine and its metadata into `folder`, which exists, without export validation.

    Raises:
        InvalidInput: the engine is eager, which is not exported, or its compiler rejects the graph.
        MissingArtifact: the engine's packages, its compiler or its GPU are missing.
    """
    if name not in EXPORTERS:
        raise InvalidInput(f"engine {name!r} cannot be exported; use one of {', '.join(EXPORTERS)}")
    exporter = EXPORTERS[name]
    file = exporter.build(encoder, plan, folder)
    exported = EngineMetadata(
        name=name,
        precision=plan.precision,
        encoder=encoder.config.to_dict(),
        weights=weights.digest(encoder),
        largest=compiled.batch(encoder) if name == "compiled" else plan.max_batch,
        quantizer=plan.quantizer.to_dict() if plan.quantizer else None,
        file=file,
        sha256=metadata.file_sha256(folder / file),
        versions=exporter.versions(),
        device=exporter.device(),
    )
    exported.write(folder)
    return exported


def open_exported(folder: Path, encoder: Encoder) -> Engine:
    """Open the exported engine in `folder`, and check that it belongs to `encoder`.

    Raises:
        MissingArtifact: there is no engine, or what it needs to run is missing.
        CorruptArtifact: the engine is damaged.
        DigestMismatch: it was made from another encoder, for another machine, or with other versions.
    """
    exported = metadata.read(folder)
    exported.require_weights(weights.digest(encoder), folder)
    if exported.name not in _CLASSES:
        raise InvalidInput(f"{folder} holds the unknown engine {exported.name!r}; known are {', '.join(EXPORTERS)}")
    return _CLASSES[exported.name](exported.require_file(folder), exported)


def open_engine(
    encoder: Encoder,
    checkpoint: Path,
    name: str = "eager",
    precision: str = "auto",
    layer: Layer = None,
    quantizer: Quantizer | None = None,
    keeps_tokens: bool = False,
) -> Engine:
    """Return the engine called `name` for the encoder of a checkpoint.

    Args:
        encoder: the encoder.
        checkpoint: path of the encoder; exported engines are stored beside it.
        name: one of `ENGINES`.
        precision: fp32, bf16, or auto for the fastest on this machine.
        layer: layer of the embeddings, see `model.inference.layers`; eager only.
        quantizer: quantizer of the store. Eager accepts its codes; an exported engine accepts the input that it was
            exported for.
        keeps_tokens: return every token instead of their mean; eager only.

    Raises:
        InvalidInput: the engine, precision or layer does not exist, or they cannot be combined.
        MissingArtifact: the engine has not been exported; the error names the command.
        CorruptArtifact, DigestMismatch: see `open_exported`.
    """
    precision = resolve_precision(name, precision)
    if name == "eager":
        return Eager(encoder, precision, layer, quantizer, keeps_tokens)
    if layer is not None:
        raise InvalidInput(f"--layer is not supported by engine {name}; use --engine eager")
    if keeps_tokens:
        raise InvalidInput(f"--pool tokens is not supported by engine {name}; use --engine eager")
    folder = engine_folder(checkpoint, name, precision, encoder.config.window_frames)
    if not (folder / metadata.FILE).is_file():
        command = f"python -m model.export {name} --checkpoint {checkpoint} --precision {precision}"
        raise MissingArtifact(f"no {name} engine in {folder}; create it with `{command}`")
    return open_exported(folder, encoder)


def record_validation(exported: EngineMetadata, validation: dict[str, object], folder: Path) -> EngineMetadata:
    """Write the result of an export validation into the metadata in `folder`, and return the metadata."""
    validated = replace(exported, parity=validation)
    validated.write(folder)
    return validated
