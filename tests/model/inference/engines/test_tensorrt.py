"""The TensorRT engine is tested as far as possible without a GPU: shapes, options, errors and their messages."""

from __future__ import annotations

import sys
import types

import pytest
import tiny
import torch
from engine_contract import encoder_of

from model.inference.engines import registry, tensorrt
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.quantize import Quantizer

DEVICE = {"device": "NVIDIA H200", "sm": "90"}
VERSIONS = {"torch": torch.__version__, "torch_tensorrt": "2.13.0", "tensorrt": "11.0"}


@pytest.fixture
def gpu(monkeypatch):
    """Simulate a machine with a GPU and torch_tensorrt, and return the simulated torch_tensorrt."""
    monkeypatch.setattr(tensorrt, "_require_gpu", lambda: None)  # torch.cuda itself stays, because PyTorch uses it
    monkeypatch.setattr("torch.cuda.get_device_name", lambda *_: DEVICE["device"])
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    packages = {name: types.SimpleNamespace(__version__=VERSIONS[name]) for name in ("torch_tensorrt", "tensorrt")}
    monkeypatch.setattr(tensorrt, "_import", lambda name="torch_tensorrt": packages[name])
    return packages["torch_tensorrt"]


def _metadata(**changed):
    values = {
        "name": "tensorrt",
        "precision": "bf16",
        "encoder": tiny.encoder_config().to_dict(),
        "weights": "w",
        "largest": 1024,
        "quantizer": Quantizer().to_dict(),
        "file": tensorrt.FILE,
        "sha256": "s",
        "versions": VERSIONS,
        "device": DEVICE,
    }
    return EngineMetadata(**{**values, **changed})


def test_the_profile_covers_1_to_1024_windows_with_the_optimal_batch_between():
    shapes = tensorrt.profile(encoder_of(tiny.encoder_config()), ExportPlan("bf16"))
    assert shapes.min_shape == (1, 128, 96)
    assert shapes.opt_shape == (64, 128, 96)
    assert shapes.max_shape == (1024, 128, 96)


@pytest.mark.parametrize(("opt_batch", "max_batch"), [(1, 1024), (1024, 1024), (64, 32)])
def test_an_optimal_batch_at_either_end_is_rejected(opt_batch, max_batch):
    with pytest.raises(InvalidInput, match="--usual must be more than 1 and less than --largest"):
        ExportPlan(opt_batch=opt_batch, max_batch=max_batch)


def test_types_are_explicit_and_nothing_is_left_to_pytorch():
    options = tensorrt.compiler_options()
    assert options["use_explicit_typing"]
    assert options["require_full_compilation"]
    assert options["disable_tf32"]
    assert "enabled_precisions" not in options  # torch_tensorrt 2.10 and later reject it with explicit typing


def test_without_a_gpu_the_error_names_other_engines(tmp_path):
    for use in (
        lambda: tensorrt.build(encoder_of(tiny.encoder_config()), ExportPlan("bf16"), tmp_path),
        lambda: tensorrt.TensorRT(tmp_path / "none", _metadata()),
        tensorrt.device,
    ):
        with pytest.raises(MissingArtifact, match=r"needs an NVIDIA GPU.*use eager, compiled or onnx"):
            use()


def test_without_torch_tensorrt_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt, "_require_gpu", lambda: None)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(MissingArtifact, match=r"torch_tensorrt of the same release.*pip install 'myna\[tensorrt\]'"):
        tensorrt.build(encoder_of(tiny.encoder_config()), ExportPlan("bf16"), tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"device": {"device": "NVIDIA A100", "sm": "80"}},
            r"device NVIDIA A100 \(this machine: NVIDIA H200\), sm 80 \(this machine: 90\)",
        ),
        ({"versions": {**VERSIONS, "tensorrt": "10.9"}}, r"tensorrt 10\.9 \(this machine: 11\.0\)"),
        ({"versions": {**VERSIONS, "torch": "2.9.0"}}, r"torch 2\.9\.0"),
    ],
)
def test_an_engine_of_another_gpu_or_other_versions_is_rejected(gpu, tmp_path, changed, message):
    with pytest.raises(DigestMismatch, match=rf"made for {message}.*python -m model\.export tensorrt"):
        tensorrt.TensorRT(tmp_path / "none", _metadata(**changed))


def test_an_engine_of_this_gpu_is_loaded_and_accepts_codes(gpu, tmp_path):
    program = types.SimpleNamespace(module=lambda: lambda windows: windows)
    gpu.load = lambda path: program
    engine = tensorrt.TensorRT(tmp_path / tensorrt.FILE, _metadata())
    assert engine.accepts_codes(Quantizer())
    assert engine.with_batch_for(63).batch_windows == 64
    assert engine.settings.device == "NVIDIA H200"
    with pytest.raises(DigestMismatch, match="expects codes of"):
        engine.accepts_codes(Quantizer(bits=16))


def test_the_calls_of_torch_tensorrt_follow_from_the_plan(gpu, tmp_path):
    calls = {}

    def compile_program(program, arg_inputs, **options):
        calls.update(program=program, inputs=arg_inputs, options=options)
        return "a module"

    def save(module, path, **options):
        calls.update(saved=(module, path, options))

    gpu.Input, gpu.save = lambda **shapes: shapes, save
    gpu.dynamo = types.SimpleNamespace(compile=compile_program)
    encoder = encoder_of(tiny.encoder_config("hybrid"))
    assert tensorrt.build(encoder, ExportPlan("bf16", quantizer=Quantizer()), tmp_path) == tensorrt.FILE
    (input_spec,) = calls["inputs"]
    assert input_spec["dtype"] is torch.uint8
    assert input_spec["max_shape"] == (1024, 128, 96)
    assert calls["options"] == tensorrt.compiler_options()
    assert calls["saved"][0] == "a module"
    assert calls["saved"][2]["output_format"] == "exported_program"
    graph = calls["program"].module()
    for batch in (1, 2, 63):  # one program for all batches, from codes to embeddings
        assert graph(torch.zeros(batch, 128, 96, dtype=torch.uint8)).shape == (batch, 64)


def test_the_registry_has_the_engine():
    assert registry.resolve_precision("tensorrt", "bf16") == "bf16"
    assert registry.EXPORTERS["tensorrt"] is tensorrt
