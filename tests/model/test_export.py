"""The command `model.export` validates engines in a new process before it publishes them, and writes hub folders."""

from __future__ import annotations

import json

import pytest
import tiny

import model
from model import export, extract
from model.inference import export as export_work
from model.inference.config import ExportSettings
from model.inference.engines import export_validation, metadata
from stores.features import FeatureStore
from stores.quantize import Quantizer


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([100, 300, 0], "stores/made.zarr")
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


def _last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_an_engine_is_exported_validated_published_and_used(workplace, capsys):
    assert export.main(["onnx", "--store", "stores/made.zarr", "--input", "codes"]) == 0
    result = _last_json(capsys)
    assert result["ran"]
    assert result["of"] == "stores/made.zarr"
    assert result["least_cosine"] > 0.9999
    folder = workplace / "runs" / "first" / "encoder.engines" / "onnx-fp32"
    assert metadata.read(folder).parity["finite"]
    assert metadata.read(folder).code_quantizer() == Quantizer()
    assert [path.name for path in folder.parent.iterdir()] == ["onnx-fp32"]
    assert extract.main(["made", "--engine", "onnx"]) == 0
    features = FeatureStore.read(workplace / "stores" / "made.first.features.zarr")
    assert features.provenance["engine"]["name"] == "onnx"
    assert features.provenance["engine"]["export"] == metadata.read(folder).sha256


@pytest.mark.slow
def test_check_uses_the_checkpoint_beside_the_engine(workplace, capsys):
    assert export.main(["onnx"]) == 0
    tiny.write_run(workplace / "runs" / "second", tiny.train_config(seed=8))  # finished last
    assert export.main(["check", "--out", "runs/first/encoder.engines/onnx-fp32"]) == 0
    assert _last_json(capsys)["ran"]
    (workplace / "runs" / "first" / "encoder.engines" / "onnx-fp32").rename("elsewhere")
    assert export.main(["check", "--out", "elsewhere"]) == 2
    assert "2 runs are finished, so --checkpoint must name one of them" in capsys.readouterr().err
    assert export.main(["check", "--out", "elsewhere", "--checkpoint", "second"]) == 2
    assert "name the checkpoint that it was exported from" in capsys.readouterr().err
    assert export.main(["check", "--out", "elsewhere", "--checkpoint", "runs/first/encoder.safetensors"]) == 0


def test_missing_requirements_are_an_error_before_anything_is_printed(workplace, capsys):
    assert export.main(["tensorrt"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert "needs an NVIDIA GPU" in printed.err
    assert not (workplace / "runs" / "first" / "encoder.engines").exists()


@pytest.mark.slow
def test_an_engine_that_is_not_accurate_is_not_published(workplace, capsys, monkeypatch):
    def inaccurate(*_):
        return export_validation.ExportValidation(1, "made up", True, 0.99, 0.5, 1e-4, 1.0)

    monkeypatch.setattr(export_validation, "compare", inaccurate)
    folder = workplace / "engine"
    monkeypatch.setattr(
        export_work,
        "_validate_in_new_process",
        lambda _, folder: export_work.validate(ExportSettings(what="check", out=folder)),
    )
    assert export.main(["onnx", "--out", str(folder)]) == 2
    assert "the engine is not published, because" in capsys.readouterr().err
    assert not folder.exists()


def test_a_hub_folder_is_written_and_read(workplace, capsys):
    assert export.main(["hub", "--out", "published"]) == 0
    assert _last_json(capsys)["files"] == ["README.md", "config.json", "model.safetensors"]
    assert model.load_encoder("published").config == tiny.encoder_config()
    assert extract.main(["made", "--checkpoint", "published"]) == 0
    assert (workplace / "stores" / "made.published.features.zarr").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tensorrt"], "needs an NVIDIA GPU"),
        (["onnx", "--precision", "bf16"], "--precision must be auto or fp32 for engine onnx"),
        (["onnx", "--usual", "1"], "--usual must be more than 1 and less than --largest (got --usual 1"),
        (["check"], "--out is required for check"),
        (["check", "--out", "nowhere"], "no exported engine in nowhere"),
        (["hub"], "--out is required for hub"),
        (["onnx", "--checkpoint", "none.safetensors"], "no checkpoint at none.safetensors"),
    ],
)
def test_what_cannot_be_exported_is_an_error_with_status_2(workplace, capsys, arguments, message):
    assert export.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(workplace.rglob(".*.building"))


@pytest.mark.slow
def test_tensorrt_for_rtx_is_built_and_states_that_it_was_not_run(workplace, capsys):
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    assert export.main(["tensorrt-rtx", "--precision", "bf16"]) == 0
    result = _last_json(capsys)
    assert not result["ran"]
    assert result["why"] == "built, not run: no GPU here"
    assert result["inputs"] == {"windows": ["FLOAT", [-1, 128, 96]]}
    assert extract.main(["made", "--engine", "tensorrt-rtx", "--precision", "bf16"]) == 2
    assert "needs an NVIDIA RTX GPU to run" in capsys.readouterr().err
