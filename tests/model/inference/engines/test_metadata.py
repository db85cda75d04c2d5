"""The sidecar of an exported engine: comes back as written, and everything foreign in it is refused."""

from __future__ import annotations

import json

import pytest
import tiny

from model.inference.engines import metadata
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact
from stores.quantize import Quantizer


def _sidecar(**changed):
    facts = {
        "name": "onnx",
        "precision": "fp32",
        "encoder": tiny.encoder_config().to_dict(),
        "weights": "w",
        "largest": 64,
        "quantizer": Quantizer(bits=16).to_dict(),
        "file": "encoder.onnx",
        "sha256": "s",
        "versions": {"a": "1"},
        "device": {},
        "parity": {"least_cosine": 0.99999},
    }
    return EngineMetadata(**{**facts, **changed})


def test_it_comes_back_as_it_was(tmp_path):
    _sidecar().write(tmp_path)
    found = metadata.read(tmp_path)
    assert found == _sidecar()
    assert found.config() == tiny.encoder_config()
    assert found.codes() == Quantizer(bits=16)
    _sidecar(quantizer=None).write(tmp_path)
    assert metadata.read(tmp_path).codes() is None


def test_none_there_names_the_command(tmp_path):
    with pytest.raises(MissingArtifact, match=r"python -m model\.export"):
        metadata.read(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: {**values, "format": "myna-engine-0"},
        lambda values: {**values, "extra": 1},
        lambda values: {key: value for key, value in values.items() if key != "sha256"},
        lambda values: {**values, "encoder": {"name": "x"}},
        lambda values: {**values, "quantizer": {"kind": "log2"}},
        lambda values: {**values, "file": "../../elsewhere/encoder.onnx"},
        lambda values: [values],
    ],
)
def test_a_sidecar_that_is_not_ours_is_corruption(tmp_path, damage):
    _sidecar().write(tmp_path)
    path = tmp_path / metadata.FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(CorruptArtifact):
        metadata.read(tmp_path)


def test_text_that_is_no_json_is_corruption(tmp_path):
    (tmp_path / metadata.FILE).write_text("{")
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        metadata.read(tmp_path)


def test_only_what_differs_is_named():
    _sidecar().require_here({"a": "1"}, {})
    with pytest.raises(DigestMismatch, match=r"made for a 1 \(here 2\) and"):
        _sidecar(versions={"a": "1", "b": "1"}).require_here({"a": "2", "b": "1"}, {})


def test_another_encoders_engine_is_refused(tmp_path):
    _sidecar().require_weights("w", tmp_path)
    with pytest.raises(DigestMismatch, match="weights w, the checkpoint has v"):
        _sidecar().require_weights("v", tmp_path)
