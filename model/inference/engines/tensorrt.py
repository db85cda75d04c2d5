"""TensorRT: torch.export, then torch_tensorrt ahead of time, one engine for batches of 1 to 1,024.

Inside are dequantisation, cutting into patches, both passes of a hybrid and the mean; LayerNorm and softmax are fp32,
which `Reading` writes into the graph, so that no precision is left to the builder (TensorRT 11 has no weak typing).

**It has not run yet:** torch_tensorrt cannot be imported without NVIDIA's driver. What decides without a GPU (shapes,
refusals, messages) is tested; `python -m model.export tensorrt` is the command that tries the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.engine import Engine, EngineFacts
from model.inference.engines.export import ExportPlan, quiet
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, MissingArtifact

FILE = "encoder.ep"


@dataclass(frozen=True)
class ShapeProfile:
    """Shapes that TensorRT is told, `(windows, 128, 96)`."""

    min_shape: tuple[int, int, int]
    """Of the smallest batch."""
    opt_shape: tuple[int, int, int]
    """That kernels are chosen for; not the smallest, or the batch is taken for fixed."""
    max_shape: tuple[int, int, int]
    """Of the largest batch."""


def profile(encoder: Encoder, plan: ExportPlan) -> ShapeProfile:
    """The shapes of a plan."""
    mels, frames = encoder.config.n_mels, encoder.config.window_frames
    return ShapeProfile((1, mels, frames), (plan.usual, mels, frames), (plan.largest, mels, frames))


def settings() -> dict[str, Any]:
    """How torch_tensorrt compiles: the types that stand in the graph, all of it or none, nothing left to PyTorch."""
    return {
        "use_explicit_typing": True,
        "require_full_compilation": True,
        "min_block_size": 1,
        "disable_tf32": True,
        "immutable_weights": True,
        "truncate_double": True,
    }


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the engine of an encoder on a GPU into `folder`; returns the file's name.

    Raises:
        MissingArtifact: no GPU here, or torch_tensorrt is not installed or cannot be imported.
    """
    torch_tensorrt = _import()
    shapes = profile(encoder, plan)
    given = torch_tensorrt.Input(
        min_shape=shapes.min_shape,
        opt_shape=shapes.opt_shape,
        max_shape=shapes.max_shape,
        dtype=plan.example(encoder, 1).dtype,
    )
    with quiet(), torch.no_grad():
        compiled = torch_tensorrt.dynamo.compile(plan.program(encoder), arg_inputs=[given], **settings())
        torch_tensorrt.save(compiled, str(folder / FILE), output_format="exported_program", arg_inputs=[given])
    return FILE


def require() -> None:
    """Check that it can be made here.

    Raises:
        MissingArtifact: no GPU here, or torch_tensorrt is not installed or cannot be imported.
    """
    _import()


def versions() -> dict[str, str]:
    """Of what made it and what runs it, which must be the same."""
    packages = ("torch_tensorrt", "tensorrt")
    return {"torch": torch.__version__, **{name: str(_import(name).__version__) for name in packages}}


def device() -> dict[str, str]:
    """The GPU, and its compute capability.

    Raises:
        MissingArtifact: there is none.
    """
    _require_gpu()
    major, minor = torch.cuda.get_device_capability()
    return {"device": torch.cuda.get_device_name(), "sm": f"{major}{minor}"}


class TensorRT(Engine):
    """A loaded engine.

    Raises:
        MissingArtifact: no GPU here, or torch_tensorrt is not installed.
        DigestMismatch: it was made for another GPU or with other versions.
        CorruptArtifact: it cannot be loaded.
    """

    def __init__(self, path: Path, sidecar: EngineMetadata) -> None:
        sidecar.require_here({}, device())  # says which GPU it needs, also where nothing could be imported
        torch_tensorrt = _import()
        sidecar.require_here(versions(), {})
        try:
            self._run_graph = torch_tensorrt.load(str(path)).module()
        except (RuntimeError, OSError, ValueError) as error:
            raise CorruptArtifact(f"{path} cannot be loaded: {error}; export it again") from error
        facts = EngineFacts("tensorrt", sidecar.precision, device()["device"], versions(), sidecar.sha256)
        super().__init__(sidecar.config(), facts, sidecar.largest, sidecar.codes())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embedded: NDArray[np.float32] = self._run_graph(torch.from_numpy(batch).cuda()).cpu().numpy()
        return embedded


def _require_gpu() -> None:
    if not torch.cuda.is_available():
        raise MissingArtifact(
            "the tensorrt engine needs an NVIDIA GPU, and this machine shows none: use eager, compiled or onnx here"
        )


def _import(name: str = "torch_tensorrt") -> Any:
    """A package of NVIDIA's, which cannot even be imported where there is no driver."""
    _require_gpu()
    try:
        return __import__(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingArtifact(
            f"the tensorrt engine needs torch_tensorrt of the same release as torch {torch.__version__}: "
            f"pip install 'myna[tensorrt]' ({error})"
        ) from error
