"""ONNX: the graph as a file that ONNX Runtime runs anywhere, and that TensorRT for RTX compiles.

On a CPU without bf16 it is the fastest of all: 12.4 ms a window of Myna-Base on one core against 23.5 in eager fp32.
"""

from __future__ import annotations

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

FILE = "encoder.onnx"
INPUT, OUTPUT = "windows", "embeddings"
CPU_MAX_BATCH = 64
"""Windows of a batch on a CPU; larger ones are not faster."""


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the graph into `folder`, its batch dynamic; returns the file's name.

    Raises:
        MissingArtifact: the packages that write it are not installed.
    """
    require()
    with quiet():
        program = torch.onnx.export(
            plan.program(encoder), input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
        )
        assert program is not None
        program.save(folder / FILE, external_data=False)  # 85 MB of weights stay below the 2 GB of one protobuf
    return FILE


def require() -> None:
    """Check that the packages are there that write it.

    Raises:
        MissingArtifact: one is not.
    """
    _import("onnx"), _import("onnxscript")


def versions() -> dict[str, str]:
    """Of what runs it; other versions may run it too, but their bits differ."""
    return {"onnxruntime": str(_import("onnxruntime").__version__)}


def device() -> dict[str, str]:
    """Any."""
    return {}


class Onnx(Engine):
    """A session of ONNX Runtime on the CPU.

    Raises:
        MissingArtifact: ONNX Runtime is not installed.
        CorruptArtifact: the file is not a graph that it can run.
    """

    def __init__(self, path: Path, sidecar: EngineMetadata) -> None:
        runtime = _import("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CorruptArtifact(f"{path} cannot be run: {error}; export it again") from error
        facts = EngineFacts("onnx", sidecar.precision, "cpu", versions(), sidecar.sha256)
        super().__init__(sidecar.config(), facts, min(CPU_MAX_BATCH, sidecar.largest), sidecar.codes())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        embedded: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: batch})[0]
        return embedded


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise MissingArtifact(
            f"the onnx engine needs {name}, which is not installed: pip install 'myna[onnx]' ({error})"
        ) from error
