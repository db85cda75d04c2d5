"""Engines by name: where an export lies, how it is made, how it is opened.

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
from stores.errors import InvalidInput, MissingArtifact
from stores.quantize import Quantizer

EXPORTED: dict[str, ModuleType] = {
    "compiled": compiled,
    "onnx": onnx,
    "tensorrt": tensorrt,
    "tensorrt-rtx": tensorrt_rtx,
}
_OPENED: dict[str, type[Compiled | Onnx | TensorRT | TensorRTRTX]] = {
    "compiled": Compiled,
    "onnx": Onnx,
    "tensorrt": TensorRT,
    "tensorrt-rtx": TensorRTRTX,
}
CHECKPOINTS = (".safetensors", *PUBLISHED_SUFFIXES)
ONLY_FP32 = ("onnx",)
"""Engines whose runtime multiplies no bf16 on a CPU."""


def precision_of(name: str, asked: str) -> str:
    """The precision of an engine: what was asked for, or the fastest here if that was `auto`.

    Raises:
        InvalidInput: no such engine or precision, or the engine does not have it.
    """
    if name not in ENGINES:
        raise InvalidInput(f"engine {name!r} is unknown; use one of {', '.join(ENGINES)}")
    if asked not in ("auto", *PRECISIONS):
        raise InvalidInput(f"precision {asked!r} is unknown; use auto, {', '.join(PRECISIONS)}")
    if name in ONLY_FP32:
        if asked == "bf16":
            raise InvalidInput(f"engine {name} computes in fp32 only: its runtime multiplies no bf16 on a CPU")
        return "fp32"
    return fastest_precision() if asked == "auto" else asked


def folder(checkpoint: Path, name: str, precision: str) -> Path:
    """Where the engine of that name and precision, exported from `checkpoint`, lies."""
    return checkpoint.with_suffix(".engines") / f"{name}-{precision}"


def checkpoint_of(where: Path) -> Path | None:
    """The checkpoint that the engine in the folder `where` lies beside, as `folder` puts it there; None elsewhere."""
    engines = where.absolute().parent
    if engines.suffix != ".engines" or not engines.is_dir():
        return None
    beside = [path for path in engines.parent.iterdir() if path.with_suffix(".engines") == engines and path != engines]
    weights_first = sorted(beside, key=lambda path: (path.suffix != ".safetensors", path.is_dir(), path.name))
    return next((path for path in weights_first if path.suffix in CHECKPOINTS or path.is_dir()), None)


def require(name: str) -> None:
    """Check that an engine can be made here, as far as that is known beforehand.

    Raises:
        MissingArtifact: a package, a compiler or a GPU is not there.
    """
    EXPORTED[name].require()


def export(encoder: Encoder, name: str, plan: ExportPlan, into: Path) -> EngineMetadata:
    """Make an engine and its sidecar in the folder `into`, which exists; it is not yet compared with eager.

    Raises:
        InvalidInput: eager, which is not exported, or a graph that the compiler does not take.
        MissingArtifact: the engine's packages, its compiler or its GPU are not there.
    """
    if name not in EXPORTED:
        raise InvalidInput(f"engine {name!r} cannot be exported; choose one of {', '.join(EXPORTED)}")
    module = EXPORTED[name]
    file = module.build(encoder, plan, into)
    made = EngineMetadata(
        name=name,
        precision=plan.precision,
        encoder=encoder.config.to_dict(),
        weights=weights.digest(encoder),
        largest=compiled.batch(encoder) if name == "compiled" else plan.largest,
        quantizer=plan.quantizer.to_dict() if plan.quantizer else None,
        file=file,
        sha256=metadata.sha256(into / file),
        versions=module.versions(),
        device=module.device(),
    )
    made.write(into)
    return made


def opened(where: Path, encoder: Encoder) -> Engine:
    """The exported engine in the folder `where`, checked against the encoder that it should be of.

    Raises:
        MissingArtifact: nothing there, or it cannot run here.
        CorruptArtifact: it is damaged.
        DigestMismatch: made of another encoder, for another machine, or with other versions.
    """
    facts = metadata.read(where)
    facts.require_weights(weights.digest(encoder), where)
    if facts.name not in _OPENED:
        raise InvalidInput(f"{where} holds an engine {facts.name!r}; this version knows {', '.join(EXPORTED)}")
    return _OPENED[facts.name](facts.require_file(where), facts)


def engine(
    encoder: Encoder,
    checkpoint: Path,
    name: str = "eager",
    precision: str = "auto",
    layer: int | None = None,
    quantizer: Quantizer | None = None,
) -> Engine:
    """The engine of that name for a checkpoint's encoder.

    Args:
        encoder: what it embeds with.
        checkpoint: where that was read; exports lie beside it.
        name: one of `ENGINES`.
        precision: fp32, bf16, or auto for the fastest here.
        layer: mean over the tokens after this block; eager only.
        quantizer: of the store that is embedded; eager reads its codes, exported engines read what they were made for.

    Raises:
        InvalidInput: no such engine, precision or layer, or one that does not go with another.
        MissingArtifact: it has not been exported; the message says how.
        CorruptArtifact, DigestMismatch: as `opened`.
    """
    chosen = precision_of(name, precision)
    if name == "eager":
        return Eager(encoder, chosen, layer, quantizer)
    if layer is not None:
        raise InvalidInput(f"--layer works with the eager engine only; {name} was asked for")
    where = folder(checkpoint, name, chosen)
    if not (where / metadata.FILE).is_file():
        words = f"python -m model.export {name} --checkpoint {checkpoint} --precision {chosen}"
        raise MissingArtifact(f"no {name} engine in {where}; make it with `{words}`")
    return opened(where, encoder)


def with_parity(made: EngineMetadata, parity: dict[str, object], where: Path) -> EngineMetadata:
    """The sidecar in `where` with how it compared with eager, on disk too."""
    done = replace(made, parity=parity)
    done.write(where)
    return done
