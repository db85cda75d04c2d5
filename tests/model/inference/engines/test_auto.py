"""`--engine auto` follows its table from the top, says what it chose and why, and what it passed over."""

from __future__ import annotations

import pytest
import tiny
from engine_contract import encoder_of

from model.encoder import weights
from model.inference.checkpoints import load_encoder
from model.inference.engines import auto, compiled, registry
from model.inference.engines.auto import RULES
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata, sha256
from stores.quantize import Quantizer


@pytest.fixture
def checkpoint(tmp_path):
    return tiny.write_run(tmp_path / "run")


def _processor(monkeypatch, precision):
    for module in (auto, registry):
        monkeypatch.setattr(module, "fastest_precision", lambda: precision)


def test_every_machine_finds_a_row_and_the_last_of_its_rows_is_eager():
    for gpu, precision in ((True, "bf16"), (False, "bf16"), (False, "fp32")):
        rows = [rule for rule in RULES if (rule.gpu, rule.precision) == (gpu, precision)]
        assert rows[-1].engine == "eager"
        assert len({rule.engine for rule in rows}) == len(rows)
    assert "tensorrt-rtx" not in {rule.engine for rule in RULES}  # it has not been run


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_with_nothing_exported_it_is_eager_in_the_fastest_precision(checkpoint, monkeypatch, precision):
    _processor(monkeypatch, precision)
    engine, told = auto.choose(load_encoder(checkpoint), checkpoint, Quantizer())
    assert (engine.facts.name, engine.facts.precision) == ("eager", precision)
    assert told[-1].startswith(f"engine auto: eager, {precision}: the processor ")
    assert any("not compiled: no compiled engine in" in line for line in told)


def test_without_bf16_an_exported_graph_is_chosen(checkpoint, monkeypatch):
    _processor(monkeypatch, "fp32")
    encoder, folder = load_encoder(checkpoint), registry.folder(checkpoint, "onnx", "fp32")
    folder.mkdir(parents=True)
    registry.export(encoder, "onnx", ExportPlan(), folder)
    engine, told = auto.choose(encoder, checkpoint, Quantizer())
    assert engine.facts.name == "onnx"
    assert told == ["engine auto: onnx, fp32: the processor has no bf16, and 12.4 ms a window beat eager's 23.5"]
    # with bf16, eager beats it
    _processor(monkeypatch, "bf16")
    assert auto.choose(encoder, checkpoint, Quantizer())[0].facts.name == "eager"


def test_an_export_that_does_not_fit_here_is_passed_over_and_that_is_said(checkpoint, monkeypatch):
    _processor(monkeypatch, "bf16")
    encoder, folder = load_encoder(checkpoint), registry.folder(checkpoint, "compiled", "bf16")
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
        sha256=sha256(folder / compiled.FILE),
        versions={"torch": "1.0"},
        device=compiled.device(),
    ).write(folder)
    engine, told = auto.choose(encoder, checkpoint, Quantizer())
    assert engine.facts.name == "eager"
    assert "not compiled: this compiled engine was made for torch 1.0" in told[0]


def test_weights_of_another_encoder_are_another_fingerprint():
    one, other = (encoder_of(tiny.encoder_config(), seed) for seed in (0, 1))
    assert weights.digest(one) != weights.digest(other)
    assert weights.digest(one) == weights.digest(encoder_of(tiny.encoder_config(), 0))
    assert weights.digest(one) != weights.digest(encoder_of(tiny.encoder_config(input_scale="power"), 0))
    assert weights.digest(one) == weights.digest(encoder_of(tiny.encoder_config(name="renamed"), 0))
