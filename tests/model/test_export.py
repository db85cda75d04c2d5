"""The command `model.export`: engines are checked in a fresh process before they are published; the hub's layout."""

from __future__ import annotations

import json

import pytest
import tiny

import model
from model import export, extract
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


def _said(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_an_engine_is_made_checked_elsewhere_published_and_used(workplace, capsys):
    assert export.main(["onnx", "--store", "stores/made.zarr", "--input", "codes"]) == 0
    said = _said(capsys)
    assert said["ran"]
    assert said["of"] == "stores/made.zarr"
    assert said["least_cosine"] > 0.9999
    folder = workplace / "runs" / "first" / "encoder.engines" / "onnx-fp32"
    assert metadata.read(folder).parity["finite"]
    assert metadata.read(folder).codes() == Quantizer()
    assert [path.name for path in folder.parent.iterdir()] == ["onnx-fp32"]
    assert extract.main(["made", "--engine", "onnx"]) == 0
    features = FeatureStore.read(workplace / "stores" / "made.first.features.zarr")
    assert features.provenance["engine"]["name"] == "onnx"
    assert features.provenance["engine"]["export"] == metadata.read(folder).sha256


def test_a_check_takes_the_checkpoint_that_the_engine_lies_beside(workplace, capsys):
    assert export.main(["onnx"]) == 0
    tiny.write_run(workplace / "runs" / "second", tiny.train_config(seed=8))  # finished last
    assert export.main(["check", "--out", "runs/first/encoder.engines/onnx-fp32"]) == 0
    assert _said(capsys)["ran"]
    (workplace / "runs" / "first" / "encoder.engines" / "onnx-fp32").rename("elsewhere")
    assert export.main(["check", "--out", "elsewhere"]) == 2
    assert "name the checkpoint that it was made of" in capsys.readouterr().err
    assert export.main(["check", "--out", "elsewhere", "--checkpoint", "runs/first/encoder.safetensors"]) == 0


def test_what_cannot_be_made_here_is_refused_before_it_is_announced(workplace, capsys):
    assert export.main(["tensorrt"]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert "needs an NVIDIA GPU" in told.err
    assert not (workplace / "runs" / "first" / "encoder.engines").exists()


def test_an_engine_that_is_not_as_good_is_not_published(workplace, capsys, monkeypatch):
    def bad(*_):
        return export_validation.ExportValidation(1, "made up", True, 0.99, 0.5, 1e-4, 1.0)

    monkeypatch.setattr(export_validation, "compare", bad)
    folder = workplace / "engine"
    monkeypatch.setattr(
        export,
        "_checked_elsewhere",
        lambda options, building: export._check(export._parser().parse_args(["check", "--out", str(building)])),
    )
    assert export.main(["onnx", "--out", str(folder)]) == 2
    assert "not as good as eager, so it is not published" in capsys.readouterr().err
    assert not folder.exists()


def test_the_hubs_folder_is_written_and_read(workplace, capsys):
    assert export.main(["hub", "--out", "published"]) == 0
    assert _said(capsys)["files"] == ["README.md", "config.json", "model.safetensors"]
    assert model.load_encoder("published").config == tiny.encoder_config()
    assert extract.main(["made", "--checkpoint", "published"]) == 0
    assert (workplace / "stores" / "made.published.features.zarr").is_dir()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tensorrt"], "needs an NVIDIA GPU"),
        (["onnx", "--precision", "bf16"], "computes in fp32 only"),
        (["onnx", "--usual", "1"], "needs 1 < usual < largest"),
        (["check"], "say which engine with --out"),
        (["check", "--out", "nowhere"], "no exported engine in nowhere"),
        (["hub"], "say where with --out"),
        (["onnx", "--checkpoint", "none.safetensors"], "no checkpoint at none.safetensors"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_one_line(workplace, capsys, arguments, told):
    assert export.main(arguments) == 2
    assert told in capsys.readouterr().err
    assert not list(workplace.rglob(".*.building"))


def test_tensorrt_for_rtx_is_built_and_says_that_it_was_not_run(workplace, capsys):
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    assert export.main(["tensorrt-rtx", "--precision", "bf16"]) == 0
    said = _said(capsys)
    assert not said["ran"]
    assert said["why"] == "built, not run: no GPU here"
    assert said["inputs"] == {"windows": ["FLOAT", [-1, 128, 96]]}
    assert extract.main(["made", "--engine", "tensorrt-rtx", "--precision", "bf16"]) == 2
    assert "needs an NVIDIA RTX GPU to run" in capsys.readouterr().err
