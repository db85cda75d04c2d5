"""The ONNX engine meets the contract of engines, for graphs of power and of codes."""

from __future__ import annotations

import builtins

import onnx as onnx_format
import pytest
import tiny
from engine_contract import EngineContract, encoder_of

from model.inference.engines import metadata, onnx, registry
from model.inference.engines.export import ExportPlan
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.quantize import Quantizer


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(tiny.encoder_config("hybrid"))


@pytest.fixture(scope="module")
def exported(encoder, tmp_path_factory):
    """Return a function that exports once for each quantizer, and returns the folder."""
    folders = {}

    def export(quantizer=None):
        if quantizer not in folders:
            folders[quantizer] = tmp_path_factory.mktemp("onnx")
            registry.export(encoder, "onnx", ExportPlan(quantizer=quantizer), folders[quantizer])
        return folders[quantizer]

    return export


class TestOnnx(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder, exported):
        return registry.open_exported(exported(), encoder)


class TestOnnxOfCodes(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder, exported):
        return registry.open_exported(exported(Quantizer()), encoder)


def test_the_graph_is_one_valid_file_with_a_dynamic_batch(exported):
    graph = onnx_format.load(exported() / onnx.FILE)
    onnx_format.checker.check_model(graph)
    (windows,), (embeddings,) = graph.graph.input, graph.graph.output
    shapes = [tensor.type.tensor_type.shape.dim for tensor in (windows, embeddings)]
    sizes = [[size.dim_param or size.dim_value for size in shape] for shape in shapes]
    assert (windows.name, embeddings.name) == (onnx.INPUT, onnx.OUTPUT)
    assert sizes[0][1:] == [128, 96]
    assert sizes[1][1:] == [64]
    assert isinstance(sizes[0][0], str)
    assert sizes[0][0] == sizes[1][0]
    assert sorted(path.name for path in exported().iterdir()) == ["encoder.onnx", "engine.json"]


def test_a_file_that_is_not_a_graph_is_corrupt(exported, tmp_path):
    (tmp_path / onnx.FILE).write_bytes(b"no graph")
    with pytest.raises(CorruptArtifact, match="cannot be run"):
        onnx.Onnx(tmp_path / onnx.FILE, metadata.read(exported()))


def test_bf16_is_rejected_before_the_export():
    with pytest.raises(InvalidInput, match="--precision must be auto or fp32 for engine onnx"):
        registry.resolve_precision("onnx", "bf16")
    assert registry.resolve_precision("onnx", "auto") == "fp32"


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(exported, encoder, tmp_path, monkeypatch, package):
    folder, original_import = exported(), builtins.__import__
    needs_package = {
        "onnx": lambda: onnx.build(encoder, ExportPlan(), tmp_path),
        "onnxruntime": lambda: registry.open_exported(folder, encoder),
    }

    def without(name, *rest):
        if name == package:
            raise ImportError(f"No module named {name!r}")
        return original_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingArtifact, match=rf"needs {package}, .*pip install 'myna\[onnx\]'"):
        needs_package[package]()
