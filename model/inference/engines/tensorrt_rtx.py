"""The engine of TensorRT for RTX: the ONNX graph, compiled for several GPU generations on a machine without a GPU.

A build shows that TensorRT accepts the whole graph with its types and its dynamic batch. It does not show that the
engine runs, or that its results are right. **This engine has not been executed yet**, because that needs an RTX GPU.
Automatic selection does not choose it, so it must be named explicitly. Even opening a finished engine needs CUDA.
Without a GPU only the parsed network can be inspected: its inputs, outputs, types and layers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines import onnx
from model.inference.engines.engine import Engine, EngineSettings
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact

FILE = "encoder.plan"
TARGETS = ("80", "86", "89", "120")
"""Compute capabilities: Ampere (A100; RTX 30), Ada (RTX 40), Blackwell (RTX 50)."""


def build(encoder: Encoder, plan: ExportPlan, folder: Path, targets: tuple[str, ...] = TARGETS) -> str:
    """Write the engine and its ONNX graph into `folder`, and return the name of the engine's file.

    Raises:
        MissingArtifact: TensorRT for RTX or the packages that write ONNX are not installed.
        InvalidInput: TensorRT rejects the graph; the error contains its message.
    """
    require()
    graph = folder / onnx.build(encoder, plan, folder)
    size = (encoder.config.n_mels, encoder.config.window_frames)
    (folder / FILE).write_bytes(build_from_graph(graph, size, plan, targets))
    return FILE


def require() -> None:
    """Check that the packages that make the engine are installed.

    Raises:
        MissingArtifact: one of them is missing.
    """
    onnx.require()
    _import()


def versions() -> dict[str, str]:
    """Return the version of TensorRT for RTX, which must be the same for making and running the engine."""
    return {"tensorrt_rtx": str(_import().__version__)}


def device() -> dict[str, str]:
    """Return the GPU generations that the engine is built for."""
    return {"sm": " ".join(TARGETS)}


class ParsedNetwork:
    """An ONNX graph that TensorRT has parsed.

    Attributes:
        inputs: type and shape of each input by name, with -1 for a dynamic size.
        outputs: type and shape of each output by name.
        layers: number of layers by kind and output type, for example `("SOFTMAX", "FLOAT")`.
    """

    def __init__(self, graph: Path) -> None:
        trt = _import()
        self.log = _make_log(trt)
        self.builder = trt.Builder(self.log)
        self.network = self.builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parser = trt.OnnxParser(self.network, self.log)  # kept, because it owns the weights of the network
        if not self._parser.parse_from_file(str(graph)):
            errors = [str(self._parser.get_error(i).desc()) for i in range(self._parser.num_errors)]
            raise InvalidInput(f"TensorRT rejects the graph {graph}: {'; '.join(errors)}")
        network = self.network
        self.inputs = _describe(network.get_input(i) for i in range(network.num_inputs))
        self.outputs = _describe(network.get_output(i) for i in range(network.num_outputs))
        layers = (network.get_layer(i) for i in range(network.num_layers))
        self.layers = Counter((layer.type.name, layer.get_output(0).dtype.name) for layer in layers)


def build_from_graph(graph: Path, size: tuple[int, int], plan: ExportPlan, targets: tuple[str, ...] = TARGETS) -> bytes:
    """Return the serialized engine of an ONNX graph, for batches of 1 to the maximum batch of the plan.

    Args:
        graph: file that `onnx.build` wrote.
        size: number of mel bins and frames of a window.
        plan: the batches.
        targets: compute capabilities, for example `("86", "120")`.

    Raises:
        InvalidInput: TensorRT rejects the graph or a target.
    """
    trt, parsed = _import(), ParsedNetwork(graph)
    known = trt.ComputeCapability.__members__
    if unknown := [sm for sm in targets if f"SM{sm}" not in known]:
        raise InvalidInput(f"TensorRT for RTX builds for {', '.join(sorted(known))}, not for SM {', '.join(unknown)}")
    config, shapes = parsed.builder.create_builder_config(), parsed.builder.create_optimization_profile()
    shapes.set_shape(onnx.INPUT, (1, *size), (plan.opt_batch, *size), (plan.max_batch, *size))
    config.add_optimization_profile(shapes)
    config.clear_flag(trt.BuilderFlag.TF32)
    config.num_compute_capabilities = len(targets)
    for i, sm in enumerate(targets):
        config.set_compute_capability(known[f"SM{sm}"], i)
    engine = parsed.builder.build_serialized_network(parsed.network, config)
    if engine is None:
        raise InvalidInput(f"TensorRT cannot build an engine from {graph}: {parsed.log.last_message()}")
    return bytes(engine)


class TensorRTRTX(Engine):
    """A loaded engine on an RTX GPU, written from NVIDIA's documentation and not executed yet.

    Raises:
        MissingArtifact: TensorRT for RTX is not installed, or there is no GPU.
        DigestMismatch: the engine was not built for the generation of the GPU, or the versions differ.
        CorruptArtifact: the engine cannot be loaded.
    """

    def __init__(self, path: Path, metadata: EngineMetadata) -> None:
        name = require_target(metadata.device)
        metadata.require_environment(versions(), {})
        trt = _import()
        self._log = _make_log(trt)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise CorruptArtifact(f"{path} cannot be loaded: {self._log.last_message()}; export the engine again")
        self._context = self._engine.create_execution_context()
        settings = EngineSettings("tensorrt-rtx", metadata.precision, name, versions(), metadata.sha256)
        super().__init__(metadata.encoder_config(), settings, metadata.largest, metadata.code_quantizer())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        windows = torch.from_numpy(batch).cuda()
        output = torch.empty(len(batch), self.config.embedding_width, device="cuda")
        self._context.set_input_shape(onnx.INPUT, tuple(windows.shape))
        self._context.set_tensor_address(onnx.INPUT, windows.data_ptr())
        self._context.set_tensor_address(onnx.OUTPUT, output.data_ptr())
        stream = torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise CorruptArtifact(f"the tensorrt-rtx engine did not run: {self._log.last_message()}")
        stream.synchronize()
        embeddings: NDArray[np.float32] = output.cpu().numpy()
        return embeddings


def require_target(device: Mapping[str, str]) -> str:
    """Return the name of this machine's GPU, after a check that the engine was built for its generation.

    Raises:
        MissingArtifact: there is no GPU.
        DigestMismatch: the engine was not built for its generation.
    """
    if not torch.cuda.is_available():
        raise MissingArtifact(
            "the tensorrt-rtx engine can be built on this machine, but needs an NVIDIA RTX GPU to run; "
            "use eager, compiled or onnx"
        )
    major, minor = torch.cuda.get_device_capability()
    if f"{major}{minor}" not in device["sm"].split():
        raise DigestMismatch(
            f"this engine was built for SM {device['sm']}, but this GPU is SM {major}{minor}; use the tensorrt engine"
        )
    return str(torch.cuda.get_device_name())


def _describe(tensors: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (tensor.dtype.name, tuple(tensor.shape)) for tensor in tensors}


def _make_log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]  # the base class is known only after the import
        """Log that keeps the messages of TensorRT instead of printing them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Keep a warning or an error; TensorRT calls this method."""
            if int(severity) <= int(trt.ILogger.WARNING):
                self.messages.append(re.sub(r"\s+", " ", message))

        def last_message(self) -> str:
            """Return the last message."""
            return self.messages[-1] if self.messages else "TensorRT gave no message"

    return Log()


def _import() -> Any:
    try:
        return __import__("tensorrt_rtx_bindings")
    except (ImportError, OSError) as error:
        raise MissingArtifact(
            "the tensorrt-rtx engine needs TensorRT for RTX; install it with "
            f"pip install 'myna[tensorrt-rtx]' ({error})"
        ) from error
