"""A real TensorRT for RTX parses and builds every preset without a GPU, with the types and shapes that are stated."""

from __future__ import annotations

import pytest
import tiny
from engine_contract import encoder_of

from model.encoder.config import PRESETS, preset
from model.inference.engines import metadata, onnx, registry, tensorrt_rtx
from model.inference.engines.export import ExportPlan
from model.inference.engines.tensorrt_rtx import TARGETS, ParsedNetwork
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.quantize import Quantizer

pytest.importorskip(
    "tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed: pip install 'myna[tensorrt-rtx]'"
)


def _require_stated_types(folder, encoder, plan):
    """Check that the parsed network has the stated inputs, outputs and types."""
    network, blocks = ParsedNetwork(folder / onnx.FILE), encoder.config.depth
    input_type = "FLOAT" if plan.quantizer is None else "UINT8"
    assert network.inputs == {onnx.INPUT: (input_type, (-1, 128, 96))}
    assert network.outputs == {onnx.OUTPUT: ("FLOAT", (-1, encoder.config.embedding_width))}
    products = "BF16" if plan.precision == "bf16" else "FLOAT"
    kinds = len(encoder.config.patch_kinds)
    layers = network.layers
    # each block has qkv, scores, values, the output and two of the MLP; each kind of patch has an embedding; and the
    # tokens of both kinds of a hybrid go through the blocks together
    assert {key: count for key, count in layers.items() if key[0] == "MATRIX_MULTIPLY"} == {
        ("MATRIX_MULTIPLY", products): 6 * blocks + kinds
    }
    assert {key: count for key, count in layers.items() if key[0] == "SOFTMAX"} == {("SOFTMAX", "FLOAT"): blocks}
    assert {key: count for key, count in layers.items() if key[0] == "NORMALIZATION"} == {
        ("NORMALIZATION", "FLOAT"): 2 * blocks + 1 + 2 * kinds
    }


@pytest.mark.slow
def test_a_small_encoder_builds_for_every_generation_with_the_stated_types(tmp_path):
    encoder, plan = encoder_of(tiny.encoder_config("hybrid")), ExportPlan("bf16", quantizer=Quantizer())
    exported = registry.export(encoder, "tensorrt-rtx", plan, tmp_path)
    assert exported.device == {"sm": "80 86 89 120"}
    assert exported.largest == 1024
    assert metadata.read(tmp_path) == exported
    assert exported.require_file(tmp_path).stat().st_size > 10_000
    _require_stated_types(tmp_path, encoder, plan)
    with pytest.raises(MissingArtifact, match="can be built on this machine, but needs an NVIDIA RTX GPU to run"):
        registry.open_exported(tmp_path, encoder)
    with pytest.raises(InvalidInput, match="not for SM 90"):  # a GPU of data centers, which the tensorrt engine is for
        tensorrt_rtx.build_from_graph(tmp_path / onnx.FILE, (128, 96), plan, ("80", "90"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_parses_completely_and_builds(tmp_path, name):
    encoder, plan = encoder_of(preset(name)), ExportPlan("bf16", quantizer=Quantizer())
    onnx.build(encoder, plan, tmp_path)
    _require_stated_types(tmp_path, encoder, plan)
    weights_bytes = 2 * sum(parameter.numel() for parameter in encoder.parameters())
    for targets in ((TARGETS[0],), TARGETS):
        engine = tensorrt_rtx.build_from_graph(tmp_path / onnx.FILE, (128, 96), plan, targets)
        assert len(engine) > weights_bytes


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", [None, Quantizer()])
def test_fp32_builds_from_power_and_from_codes(tmp_path, quantizer):
    encoder, plan = encoder_of(preset("tiny")), ExportPlan("fp32", quantizer=quantizer)
    onnx.build(encoder, plan, tmp_path)
    _require_stated_types(tmp_path, encoder, plan)
    assert tensorrt_rtx.build_from_graph(tmp_path / onnx.FILE, (128, 96), plan)


def test_a_file_that_is_not_a_graph_is_rejected_with_the_message_of_tensorrt(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(InvalidInput, match=r"TensorRT rejects the graph .*x\.onnx: "):
        ParsedNetwork(tmp_path / "x.onnx")


def test_a_gpu_of_another_generation_is_rejected(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    with pytest.raises(DigestMismatch, match="built for SM 80 86 89 120, but this GPU is SM 90; use the tensor"):
        tensorrt_rtx.require_target({"sm": "80 86 89 120"})
