"""The TensorRT engine: torch.export and torch_tensorrt ahead of time, one engine for batches of 1 to 1,024 windows.

The engine contains dequantization, the division into patches, the forward passes of both kinds of patches of a hybrid,
and the mean. LayerNorm and softmax are fp32. `InferenceModule` writes all types into the graph, so that the builder
does not choose a precision (TensorRT 11 has no weak typing).

**This engine has not been executed yet.** torch_tensorrt cannot be imported without NVIDIA's driver. What can be
checked without a GPU (shapes, errors and their messages) is tested, and `python -m model.export tensorrt` tries the
rest. Automatic selection does not choose this engine, so it must be named explicitly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.engine import Engine, EngineSettings
from model.inference.engines.export import ExportPlan, suppress_exporter_warnings
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, MissingArtifact

FILE = "encoder.ep"


@dataclass(frozen=True)
class ShapeProfile:
    """The batch shapes `(windows, M, N)` that an engine is built for."""

    min_shape: tuple[int, int, int]
    """Shape of the smallest batch."""
    opt_shape: tuple[int, int, int]
    """Shape that kernels are chosen for; it must differ from the smallest, or the batch would be fixed."""
    max_shape: tuple[int, int, int]
    """Shape of the maximum batch."""


def profile(encoder: Encoder, plan: ExportPlan) -> ShapeProfile:
    """Return the batch shapes of an export."""
    size = (encoder.config.n_mels, encoder.config.window_frames)
    return ShapeProfile((1, *size), (plan.opt_batch, *size), (plan.max_batch, *size))


def compiler_options() -> dict[str, Any]:
    """Return the options of torch_tensorrt: the types of the graph, and no operation that is left to PyTorch."""
    return {
        "use_explicit_typing": True,
        "require_full_compilation": True,
        "min_block_size": 1,
        "disable_tf32": True,
        "immutable_weights": True,
        "truncate_double": True,
    }


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the engine of an encoder on a GPU into `folder`, and return the name of the file.

    Raises:
        MissingArtifact: there is no GPU, or torch_tensorrt is not installed or cannot be imported.
    """
    torch_tensorrt = _import()
    shapes = profile(encoder, plan)
    input_spec = torch_tensorrt.Input(
        min_shape=shapes.min_shape,
        opt_shape=shapes.opt_shape,
        max_shape=shapes.max_shape,
        dtype=plan.example_input(encoder, 1).dtype,
    )
    with suppress_exporter_warnings(), torch.no_grad():
        compiled = torch_tensorrt.dynamo.compile(plan.program(encoder), arg_inputs=[input_spec], **compiler_options())
        torch_tensorrt.save(compiled, str(folder / FILE), output_format="exported_program", arg_inputs=[input_spec])
    return FILE


def require() -> None:
    """Check that an engine can be made on this machine.

    Raises:
        MissingArtifact: there is no GPU, or torch_tensorrt is not installed or cannot be imported.
    """
    _import()


def versions() -> dict[str, str]:
    """Return the versions of the software that makes and runs the engine, which must be the same."""
    packages = ("torch_tensorrt", "tensorrt")
    return {"torch": torch.__version__, **{name: str(_import(name).__version__) for name in packages}}


def device() -> dict[str, str]:
    """Return the name of the GPU and its compute capability.

    Raises:
        MissingArtifact: there is no GPU.
    """
    _require_gpu()
    major, minor = torch.cuda.get_device_capability()
    return {"device": torch.cuda.get_device_name(), "sm": f"{major}{minor}"}


class TensorRT(Engine):
    """A loaded TensorRT engine.

    Raises:
        MissingArtifact: there is no GPU, or torch_tensorrt is not installed.
        DigestMismatch: the engine was made for another GPU or with other versions.
        CorruptArtifact: the engine cannot be loaded.
    """

    def __init__(self, path: Path, metadata: EngineMetadata) -> None:
        metadata.require_environment({}, device())  # first, to name the GPU also if the packages are missing
        torch_tensorrt = _import()
        metadata.require_environment(versions(), {})
        try:
            self._run_graph = torch_tensorrt.load(str(path)).module()
        except (RuntimeError, OSError, ValueError) as error:
            raise CorruptArtifact(f"{path} cannot be loaded: {error}; export the engine again") from error
        settings = EngineSettings("tensorrt", metadata.precision, device()["device"], versions(), metadata.sha256)
        super().__init__(metadata.encoder_config(), settings, metadata.largest, metadata.code_quantizer())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embeddings: NDArray[np.float32] = self._run_graph(torch.from_numpy(batch).cuda()).cpu().numpy()
        return embeddings


def _require_gpu() -> None:
    if not torch.cuda.is_available():
        raise MissingArtifact(
            "the tensorrt engine needs an NVIDIA GPU, and this machine has none; use eager, compiled or onnx"
        )


def _import(name: str = "torch_tensorrt") -> Any:
    """Import a package of NVIDIA, which is possible only with a driver."""
    _require_gpu()
    try:
        return __import__(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingArtifact(
            f"the tensorrt engine needs torch_tensorrt of the same release as torch {torch.__version__}; "
            f"install it with pip install 'myna[tensorrt]' ({error})"
        ) from error
