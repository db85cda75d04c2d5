"""The ONNX engine: a graph in a file that ONNX Runtime runs on any CPU, and that TensorRT for RTX compiles.

On a CPU without bf16 it is the fastest engine: 12.4 ms per window of Myna-Base on one core against 23.5 ms with eager
in fp32.
"""

from __future__ import annotations

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

FILE = "encoder.onnx"
INPUT, OUTPUT = "windows", "embeddings"
CPU_MAX_BATCH = 64
"""Windows of the maximum batch on a CPU; larger batches are not faster."""


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the graph with a dynamic batch into `folder`, and return the name of the file.

    Raises:
        MissingArtifact: the packages that write ONNX are not installed.
    """
    require()
    with suppress_exporter_warnings():
        program = torch.onnx.export(
            plan.program(encoder), input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
        )
        assert program is not None
        program.save(folder / FILE, external_data=False)  # one protobuf holds 2 GB, and the weights have 85 MB
    return FILE


def require() -> None:
    """Check that the packages that write ONNX are installed.

    Raises:
        MissingArtifact: one of them is missing.
    """
    _import("onnx"), _import("onnxscript")


def versions() -> dict[str, str]:
    """Return the version of ONNX Runtime; other versions can run the graph, but their results can differ in bits."""
    return {"onnxruntime": str(_import("onnxruntime").__version__)}


def device() -> dict[str, str]:
    """Return no requirement, because the graph runs on any CPU."""
    return {}


class Onnx(Engine):
    """The engine of a session of ONNX Runtime on the CPU.

    Raises:
        MissingArtifact: ONNX Runtime is not installed.
        CorruptArtifact: the file is not a graph that ONNX Runtime can run.
    """

    def __init__(self, path: Path, metadata: EngineMetadata) -> None:
        runtime = _import("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CorruptArtifact(f"{path} cannot be run: {error}; export the engine again") from error
        settings = EngineSettings("onnx", metadata.precision, "cpu", versions(), metadata.sha256)
        max_batch = min(CPU_MAX_BATCH, metadata.largest)
        super().__init__(metadata.encoder_config(), settings, max_batch, metadata.code_quantizer())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        embeddings: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: batch})[0]
        return embeddings


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise MissingArtifact(
            f"the onnx engine needs {name}, which is not installed; install it with pip install 'myna[onnx]' ({error})"
        ) from error
