"""TensorRT, as far as it can be tried without a GPU: shapes, settings, what is refused and how that is said."""

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

HERE = {"device": "NVIDIA H200", "sm": "90"}
VERSIONS = {"torch": torch.__version__, "torch_tensorrt": "2.13.0", "tensorrt": "11.0"}


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says it has a GPU and torch_tensorrt."""
    monkeypatch.setattr(tensorrt, "_require_gpu", lambda: None)  # not torch.cuda's own word, which PyTorch relies on
    monkeypatch.setattr("torch.cuda.get_device_name", lambda *_: HERE["device"])
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    packages = {name: types.SimpleNamespace(__version__=VERSIONS[name]) for name in ("torch_tensorrt", "tensorrt")}
    monkeypatch.setattr(tensorrt, "_import", lambda name="torch_tensorrt": packages[name])
    return packages["torch_tensorrt"]


def _sidecar(**changed):
    facts = {
        "name": "tensorrt",
        "precision": "bf16",
        "encoder": tiny.encoder_config().to_dict(),
        "weights": "w",
        "largest": 1024,
        "quantizer": Quantizer().to_dict(),
        "file": tensorrt.FILE,
        "sha256": "s",
        "versions": VERSIONS,
        "device": HERE,
    }
    return EngineMetadata(**{**facts, **changed})


def test_the_profile_goes_from_one_window_to_1024_and_the_usual_batch_lies_strictly_between():
    shapes = tensorrt.profile(encoder_of(tiny.encoder_config()), ExportPlan("bf16"))
    assert shapes.min_shape == (1, 128, 96)
    assert shapes.opt_shape == (64, 128, 96)
    assert shapes.max_shape == (1024, 128, 96)


@pytest.mark.parametrize(("usual", "largest"), [(1, 1024), (1024, 1024), (64, 32)])
def test_a_usual_batch_at_an_end_is_refused(usual, largest):
    with pytest.raises(InvalidInput, match="needs 1 < usual < largest"):
        ExportPlan(usual=usual, largest=largest)


def test_types_stand_in_the_graph_and_nothing_is_left_to_pytorch():
    settings = tensorrt.settings()
    assert settings["use_explicit_typing"]
    assert settings["require_full_compilation"]
    assert settings["disable_tf32"]
    assert "enabled_precisions" not in settings  # torch_tensorrt 2.10 and later refuse it beside explicit typing


def test_without_a_gpu_it_says_so_and_names_what_works(tmp_path):
    for use in (
        lambda: tensorrt.build(encoder_of(tiny.encoder_config()), ExportPlan("bf16"), tmp_path),
        lambda: tensorrt.TensorRT(tmp_path / "none", _sidecar()),
        tensorrt.device,
    ):
        with pytest.raises(MissingArtifact, match=r"needs an NVIDIA GPU.*use eager, compiled or onnx here"):
            use()


def test_with_a_gpu_but_without_torch_tensorrt_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt, "_require_gpu", lambda: None)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(MissingArtifact, match=r"torch_tensorrt of the same release.*pip install 'myna\[tensorrt\]'"):
        tensorrt.build(encoder_of(tiny.encoder_config()), ExportPlan("bf16"), tmp_path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"device": {"device": "NVIDIA A100", "sm": "80"}},
            r"device NVIDIA A100 \(here NVIDIA H200\), sm 80 \(here 90\)",
        ),
        ({"versions": {**VERSIONS, "tensorrt": "10.9"}}, r"tensorrt 10\.9 \(here 11\.0\)"),
        ({"versions": {**VERSIONS, "torch": "2.9.0"}}, r"torch 2\.9\.0"),
    ],
)
def test_an_engine_of_another_gpu_or_of_other_versions_is_refused_readably(gpu, tmp_path, changed, told):
    with pytest.raises(DigestMismatch, match=rf"made for {told}.*python -m model\.export tensorrt"):
        tensorrt.TensorRT(tmp_path / "none", _sidecar(**changed))


def test_an_engine_of_this_gpu_is_loaded_and_reads_codes(gpu, tmp_path):
    program = types.SimpleNamespace(module=lambda: lambda windows: windows)
    gpu.load = lambda path: program
    engine = tensorrt.TensorRT(tmp_path / tensorrt.FILE, _sidecar())
    assert engine.reads(Quantizer())
    assert engine.shaped(63).batch_windows == 64
    assert engine.facts.device == "NVIDIA H200"
    with pytest.raises(DigestMismatch, match="was exported for codes of"):
        engine.reads(Quantizer(bits=16))


def test_what_torch_tensorrt_is_asked_for_follows_from_the_plan(gpu, tmp_path):
    asked = {}

    def compiled(program, arg_inputs, **settings):
        asked.update(program=program, inputs=arg_inputs, settings=settings)
        return "a module"

    def saved(module, path, **how):
        asked.update(saved=(module, path, how))

    gpu.Input, gpu.save = lambda **shapes: shapes, saved
    gpu.dynamo = types.SimpleNamespace(compile=compiled)
    encoder = encoder_of(tiny.encoder_config("hybrid"))
    assert tensorrt.build(encoder, ExportPlan("bf16", quantizer=Quantizer()), tmp_path) == tensorrt.FILE
    (given,) = asked["inputs"]
    assert given["dtype"] is torch.uint8
    assert given["max_shape"] == (1024, 128, 96)
    assert asked["settings"] == tensorrt.settings()
    assert asked["saved"][0] == "a module"
    assert asked["saved"][2]["output_format"] == "exported_program"
    graph = asked["program"].module()
    for batch in (1, 2, 63):  # one program, whatever the batch, from codes to embeddings
        assert graph(torch.zeros(batch, 128, 96, dtype=torch.uint8)).shape == (batch, 64)


def test_the_registry_knows_it():
    assert registry.precision_of("tensorrt", "bf16") == "bf16"
    assert registry.EXPORTED["tensorrt"] is tensorrt
