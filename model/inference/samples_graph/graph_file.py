"""The file of a graph: the conversion of the module to ONNX, the names of its axes, its metadata, and int8 weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from model.inference.engines.export import suppress_exporter_warnings
from model.inference.samples_graph.description import INPUT, METADATA_KEY, GraphOutput
from model.inference.samples_graph.module import SamplesModule

MAX_RECORDINGS = 4096
"""Largest batch of a graph."""
MAX_SAMPLES = 1 << 31
"""Largest number of samples of a recording: 37 hours at 16 kHz."""
_EXAMPLE_WINDOWS = 4


def write(module: SamplesModule, outputs: Sequence[GraphOutput], path: Path) -> None:
    """Write the graph of `module` to `path`, for any number of recordings and samples, without metadata."""
    spec = module.mel.spec
    samples = max(spec.min_samples, spec.hop_samples * module.windowing.window_frames * _EXAMPLE_WINDOWS)
    shapes = (
        {0: Dim("recordings", min=1, max=MAX_RECORDINGS), 1: Dim("samples", min=spec.min_samples, max=MAX_SAMPLES)},
    )
    with suppress_exporter_warnings(), torch.no_grad():
        program = torch.export.export(
            module.eval(),
            (torch.zeros(2, samples),),
            dynamic_shapes=shapes,
            prefer_deferred_runtime_asserts_over_guards=True,  # one window is not a case of its own
        )
        graph = torch.onnx.export(
            program, input_names=[INPUT], output_names=[output.name for output in outputs], dynamo=True, verbose=False
        )
        assert graph is not None
        graph.save(path, external_data=False)


def describe(path: Path, outputs: Sequence[GraphOutput], metadata: Mapping[str, Any]) -> None:
    """Name the axes of the input and the outputs of the graph at `path`, and add metadata to it."""
    onnx = import_module("onnx")
    model = onnx.load(str(path))
    _name_axes(model.graph.input[0], ("recordings", "samples"))
    for value, output in zip(model.graph.output, outputs, strict=True):
        _name_axes(value, output.shape)
    del model.graph.value_info[:]  # they name the axes otherwise
    for node in model.graph.node:
        del node.metadata_props[:]  # they hold paths of the machine that exported the graph
    del model.metadata_props[:]
    entries = {METADATA_KEY: json.dumps(metadata, sort_keys=True, ensure_ascii=False)}
    if probe := metadata.get("probe"):
        entries["labels"] = json.dumps(probe["labels"], ensure_ascii=False)
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name, model.doc_string = "myna", "samples to embeddings; the metadata `myna` describe it"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def quantize(source: Path, target: Path) -> None:
    """Write a graph whose encoder has int8 weights (QInt8, dynamic). The mel and the probe stay float32."""
    quantization, onnx = import_module("onnxruntime.quantization"), import_module("onnx")
    graph = onnx.load(str(source)).graph
    constants = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul" and constants & set(node.input)]
    names = [node.name for node in products if _is_of_encoder(node)]
    logging.disable(logging.WARNING)  # the package warns on the root logger about its own examples
    try:
        quantization.quantize_dynamic(
            str(source), str(target), weight_type=quantization.QuantType.QInt8, nodes_to_quantize=names
        )
    finally:
        logging.disable(logging.NOTSET)


def _is_of_encoder(node: Any) -> bool:
    """Return whether a node was made by the encoder, which PyTorch's exporter notes in the metadata of the node."""
    return any(entry.key == "namespace" and "InferenceModule" in entry.value for entry in node.metadata_props)


def _name_axes(value: Any, names: Sequence[int | str]) -> None:
    for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
        if isinstance(name, str):
            axis.dim_param = name
        else:
            axis.dim_value = name
