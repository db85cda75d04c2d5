"""Engine metadata is read back as written, and metadata that is not valid is rejected."""

from __future__ import annotations

import json

import pytest
import tiny

from model.inference.engines import metadata
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact
from stores.quantize import Quantizer


def _metadata(**changed):
    values = {
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
    return EngineMetadata(**{**values, **changed})


def test_metadata_is_read_back_as_written(tmp_path):
    _metadata().write(tmp_path)
    stored = metadata.read(tmp_path)
    assert stored == _metadata()
    assert stored.encoder_config() == tiny.encoder_config()
    assert stored.code_quantizer() == Quantizer(bits=16)
    _metadata(quantizer=None).write(tmp_path)
    assert metadata.read(tmp_path).code_quantizer() is None


def test_missing_metadata_is_an_error_that_names_the_command(tmp_path):
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
def test_metadata_of_another_format_is_corrupt(tmp_path, damage):
    _metadata().write(tmp_path)
    path = tmp_path / metadata.FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(CorruptArtifact):
        metadata.read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_text_that_is_not_json_is_corrupt(tmp_path, text):
    (tmp_path / metadata.FILE).write_text(text)
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        metadata.read(tmp_path)


def test_only_the_differences_of_the_environment_are_named():
    _metadata().require_environment({"a": "1"}, {})
    with pytest.raises(DigestMismatch, match=r"made for a 1 \(this machine: 2\) and"):
        _metadata(versions={"a": "1", "b": "1"}).require_environment({"a": "2", "b": "1"}, {})


def test_an_engine_of_another_encoder_is_rejected(tmp_path):
    _metadata().require_weights("w", tmp_path)
    with pytest.raises(DigestMismatch, match="weights w, but the checkpoint has v"):
        _metadata().require_weights("v", tmp_path)
