"""Automatic selection takes the first engine of its table that can run, and prints its reasons."""

from __future__ import annotations

import pytest
import tiny
from engine_contract import encoder_of

from model.encoder import weights
from model.inference.checkpoints import load_encoder
from model.inference.engines import auto, compiled, registry
from model.inference.engines.auto import RULES
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata, file_sha256
from stores.errors import MissingArtifact
from stores.quantize import Quantizer


@pytest.fixture
def checkpoint(tmp_path):
    return tiny.write_run(tmp_path / "run")


def _pretend_precision(monkeypatch, precision):
    for module in (auto, registry):
        monkeypatch.setattr(module, "fastest_precision", lambda: precision)


def test_the_last_row_of_every_kind_of_machine_is_eager():
    for gpu, precision in ((True, "bf16"), (False, "bf16"), (False, "fp32")):
        rows = [rule for rule in RULES if (rule.gpu, rule.precision) == (gpu, precision)]
        assert rows[-1].engine == "eager"
        assert len({rule.engine for rule in rows}) == len(rows)


def test_engines_that_have_not_been_executed_are_not_in_the_table():
    assert {rule.engine for rule in RULES} == {"eager", "compiled", "onnx"}


def test_on_a_gpu_an_exported_tensorrt_engine_is_not_opened(checkpoint, monkeypatch):
    _pretend_precision(monkeypatch, "bf16")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    opened = []

    def open_engine(encoder, checkpoint, name, *_, **__):
        opened.append(name)
        raise MissingArtifact(f"no {name} engine")

    monkeypatch.setattr(registry, "open_engine", open_engine)
    with pytest.raises(MissingArtifact, match="name an engine"):
        auto.select(load_encoder(checkpoint), checkpoint, Quantizer())
    assert opened == ["compiled", "eager"]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_without_exports_eager_runs_in_the_fastest_precision(checkpoint, monkeypatch, precision):
    _pretend_precision(monkeypatch, precision)
    engine, messages = auto.select(load_encoder(checkpoint), checkpoint, Quantizer())
    assert (engine.settings.name, engine.settings.precision) == ("eager", precision)
    assert messages[-1].startswith(f"engine auto: eager in {precision}, because the processor ")
    assert any("not compiled, because no compiled engine in" in line for line in messages)


@pytest.mark.slow
def test_without_bf16_an_exported_graph_is_selected(checkpoint, monkeypatch):
    _pretend_precision(monkeypatch, "fp32")
    encoder, folder = load_encoder(checkpoint), registry.engine_folder(checkpoint, "onnx", "fp32")
    folder.mkdir(parents=True)
    registry.export(encoder, "onnx", ExportPlan(), folder)
    engine, messages = auto.select(encoder, checkpoint, Quantizer())
    assert engine.settings.name == "onnx"
    assert messages == [
        "engine auto: onnx in fp32, because the processor has no bf16, and ONNX takes 12.4 ms per window against 23.5 "
        "with eager"
    ]
    # with bf16, eager is faster
    _pretend_precision(monkeypatch, "bf16")
    assert auto.select(encoder, checkpoint, Quantizer())[0].settings.name == "eager"


def test_an_export_for_other_versions_is_passed_over_with_a_message(checkpoint, monkeypatch):
    _pretend_precision(monkeypatch, "bf16")
    encoder, folder = load_encoder(checkpoint), registry.engine_folder(checkpoint, "compiled", "bf16")
    folder.mkdir(parents=True)
    (folder / compiled.FILE).write_bytes(b"a package")
    EngineMetadata(
        name="compiled",
        precision="bf16",
        encoder=encoder.config.to_dict(),
        weights=weights.digest(encoder),
        largest=32,
        quantizer=None,
        file=compiled.FILE,
        sha256=file_sha256(folder / compiled.FILE),
        versions={"torch": "1.0"},
        device=compiled.device(),
    ).write(folder)
    engine, messages = auto.select(encoder, checkpoint, Quantizer())
    assert engine.settings.name == "eager"
    assert "not compiled, because this compiled engine was made for torch 1.0" in messages[0]


def test_weights_of_another_encoder_have_another_digest():
    first, other = (encoder_of(tiny.encoder_config(), seed) for seed in (0, 1))
    assert weights.digest(first) != weights.digest(other)
    assert weights.digest(first) == weights.digest(encoder_of(tiny.encoder_config(), 0))
    assert weights.digest(first) != weights.digest(encoder_of(tiny.encoder_config(input_scale="power"), 0))
    assert weights.digest(first) == weights.digest(encoder_of(tiny.encoder_config(name="renamed"), 0))
