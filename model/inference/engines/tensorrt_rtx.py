"""TensorRT for RTX: the ONNX graph, compiled for several GPU generations at once, on a machine without a GPU.

A build here proves that TensorRT takes the whole graph, with its types and its dynamic batch. It does not prove that
the engine runs, nor what it computes: that takes an RTX GPU, and **has not been tried**. Even to open a finished engine
CUDA is needed, so what is inspected without a GPU is the parsed network: its inputs, outputs, types and layers.
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
from model.inference.engines.engine import Engine, EngineFacts
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact

FILE = "encoder.plan"
TARGETS = ("80", "86", "89", "120")
"""Compute capabilities: Ampere (A100; RTX 30), Ada (RTX 40), Blackwell (RTX 50)."""


def build(encoder: Encoder, plan: ExportPlan, folder: Path, targets: tuple[str, ...] = TARGETS) -> str:
    """Write the engine, and the ONNX graph it is made of, into `folder`; returns the engine's file name.

    Raises:
        MissingArtifact: TensorRT for RTX or the packages that write ONNX are not installed.
        InvalidInput: TensorRT does not take the graph; its own words follow.
    """
    require()
    graph = folder / onnx.build(encoder, plan, folder)
    size = (encoder.config.n_mels, encoder.config.window_frames)
    (folder / FILE).write_bytes(compiled(graph, size, plan, targets))
    return FILE


def require() -> None:
    """Check that the packages are there that make it.

    Raises:
        MissingArtifact: one is not.
    """
    onnx.require()
    _import()


def versions() -> dict[str, str]:
    """Of what made it and what runs it, which must be the same."""
    return {"tensorrt_rtx": str(_import().__version__)}


def device() -> dict[str, str]:
    """The generations that it is built for."""
    return {"sm": " ".join(TARGETS)}


class ParsedNetwork:
    """An ONNX graph as TensorRT has parsed it.

    Attributes:
        inputs: name to (type, shape), -1 where dynamic; so are `outputs`.
        layers: how many there are, by kind and by the type of what they give, e.g. `("SOFTMAX", "FLOAT")`.
    """

    def __init__(self, graph: Path) -> None:
        trt = _import()
        self.log = _logger(trt)
        self.builder = trt.Builder(self.log)
        self.network = self.builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parser = trt.OnnxParser(self.network, self.log)  # the network uses its weights
        if not self._parser.parse_from_file(str(graph)):
            errors = [str(self._parser.get_error(i).desc()) for i in range(self._parser.num_errors)]
            raise InvalidInput(f"TensorRT does not take {graph}: {'; '.join(errors)}")
        net = self.network
        self.inputs = _tensors(net.get_input(i) for i in range(net.num_inputs))
        self.outputs = _tensors(net.get_output(i) for i in range(net.num_outputs))
        layers = (net.get_layer(i) for i in range(net.num_layers))
        self.layers = Counter((layer.type.name, layer.get_output(0).dtype.name) for layer in layers)


def compiled(graph: Path, size: tuple[int, int], plan: ExportPlan, targets: tuple[str, ...] = TARGETS) -> bytes:
    """The serialised engine of an ONNX graph, for batches of 1 to the plan's largest.

    Args:
        graph: file that `onnx.build` wrote.
        size: mel bins and frames of a window.
        plan: the batches.
        targets: compute capabilities, e.g. `("86", "120")`.

    Raises:
        InvalidInput: TensorRT does not take the graph, or knows no such target.
    """
    trt, parsed = _import(), ParsedNetwork(graph)
    known = trt.ComputeCapability.__members__
    if unknown := [sm for sm in targets if f"SM{sm}" not in known]:
        raise InvalidInput(f"TensorRT for RTX builds for {', '.join(sorted(known))}, not for SM {', '.join(unknown)}")
    config, shapes = parsed.builder.create_builder_config(), parsed.builder.create_optimization_profile()
    shapes.set_shape(onnx.INPUT, (1, *size), (plan.usual, *size), (plan.largest, *size))
    config.add_optimization_profile(shapes)
    config.clear_flag(trt.BuilderFlag.TF32)
    config.num_compute_capabilities = len(targets)
    for i, sm in enumerate(targets):
        config.set_compute_capability(known[f"SM{sm}"], i)
    engine = parsed.builder.build_serialized_network(parsed.network, config)
    if engine is None:
        raise InvalidInput(f"TensorRT cannot build {graph}: {parsed.log.last()}")
    return bytes(engine)


class TensorRTRTX(Engine):
    """A loaded engine on an RTX GPU; written after NVIDIA's documentation, not tried.

    Raises:
        MissingArtifact: TensorRT for RTX is not installed, or there is no GPU.
        DigestMismatch: the GPU is of no generation it was built for, or the versions differ.
        CorruptArtifact: it cannot be loaded.
    """

    def __init__(self, path: Path, sidecar: EngineMetadata) -> None:
        name = require_target(sidecar.device)
        sidecar.require_here(versions(), {})
        trt = _import()
        self._log = _logger(trt)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise CorruptArtifact(f"{path} cannot be loaded: {self._log.last()}; export it again")
        self._context = self._engine.create_execution_context()
        facts = EngineFacts("tensorrt-rtx", sidecar.precision, name, versions(), sidecar.sha256)
        super().__init__(sidecar.config(), facts, sidecar.largest, sidecar.codes())

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        windows = torch.from_numpy(batch).cuda()
        embedded = torch.empty(len(batch), self.config.embedding_width, device="cuda")
        self._context.set_input_shape(onnx.INPUT, tuple(windows.shape))
        self._context.set_tensor_address(onnx.INPUT, windows.data_ptr())
        self._context.set_tensor_address(onnx.OUTPUT, embedded.data_ptr())
        stream = torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise CorruptArtifact(f"the tensorrt-rtx engine did not run: {self._log.last()}")
        stream.synchronize()
        result: NDArray[np.float32] = embedded.cpu().numpy()
        return result


def require_target(device: Mapping[str, str]) -> str:
    """The name of this machine's GPU.

    Raises:
        MissingArtifact: there is none.
        DigestMismatch: the engine was not built for its generation.
    """
    if not torch.cuda.is_available():
        raise MissingArtifact(
            "the tensorrt-rtx engine is built here, but needs an NVIDIA RTX GPU to run, and this machine shows none: "
            "use eager, compiled or onnx here"
        )
    major, minor = torch.cuda.get_device_capability()
    if f"{major}{minor}" not in device["sm"].split():
        raise DigestMismatch(
            f"this engine was built for SM {device['sm']}, this GPU is SM {major}{minor}: use the tensorrt engine on it"
        )
    return str(torch.cuda.get_device_name())


def _tensors(tensors: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (tensor.dtype.name, tuple(tensor.shape)) for tensor in tensors}


def _logger(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]  # the base is only known once it is imported
        """Keeps what TensorRT says instead of printing it."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[tuple[int, str]] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT."""
            if int(severity) <= int(trt.ILogger.WARNING):
                self.said.append((int(severity), re.sub(r"\s+", " ", message)))

        def last(self) -> str:
            """Its last words."""
            return self.said[-1][1] if self.said else "it says nothing"

    return Log()


def _import() -> Any:
    try:
        return __import__("tensorrt_rtx_bindings")
    except (ImportError, OSError) as error:
        raise MissingArtifact(
            f"the tensorrt-rtx engine needs TensorRT for RTX: pip install 'myna[tensorrt-rtx]' ({error})"
        ) from error
