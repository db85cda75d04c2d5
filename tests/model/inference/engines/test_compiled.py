"""The compiled engine meets the contract of engines and rejects packages that it cannot run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny
from engine_contract import EngineContract, encoder_of

from model.encoder.config import preset
from model.inference.engines import compiled, metadata, registry
from model.inference.engines.export import ExportPlan
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact
from stores.quantize import Quantizer


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(preset("tiny"))


@pytest.mark.slow
class TestCompiledInFp32(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder, tmp_path_factory):
        folder = tmp_path_factory.mktemp("compiled")
        registry.export(encoder, "compiled", ExportPlan("fp32"), folder)
        return registry.open_exported(folder, encoder)


@pytest.mark.slow
class TestCompiledInBf16OfCodes(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls):
        return encoder_of(tiny.encoder_config("hybrid"))

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, encoder, tmp_path_factory):
        folder = tmp_path_factory.mktemp("compiled")
        registry.export(encoder, "compiled", ExportPlan("bf16", quantizer=Quantizer()), folder)
        return registry.open_exported(folder, encoder)

    def test_the_batch_is_fixed(self, engine):
        assert engine.with_batch_for(3) is engine
        assert engine.batch_windows == engine.max_batch == compiled.MAX_BATCH["cpu"]


def _metadata(**changed):
    values = {
        "name": "compiled",
        "precision": "fp32",
        "encoder": tiny.encoder_config().to_dict(),
        "weights": "w",
        "largest": 32,
        "quantizer": None,
        "file": compiled.FILE,
        "sha256": "s",
        "versions": compiled.versions(),
        "device": compiled.device(),
    }
    return EngineMetadata(**{**values, **changed})


def test_a_missing_compiler_is_an_error_that_says_how_to_install_one(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingArtifact, match=r"needs a C\+\+ compiler, but g\+\+ or clang\+\+ was not found; install"):
        compiled.build(encoder, ExportPlan(), tmp_path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingArtifact, match="no-such-compiler was not found"):
        compiled.require()


def test_a_package_of_another_pytorch_or_processor_is_rejected(tmp_path):
    with pytest.raises(
        DigestMismatch, match=r"made for torch 1\.0 \(this machine: .*\) and cannot run.*model\.export comp"
    ):
        compiled.Compiled(tmp_path / "none", _metadata(versions={"torch": "1.0"}))
    with pytest.raises(DigestMismatch, match=r"device cpu Z80 \(this machine: cpu"):
        compiled.Compiled(tmp_path / "none", _metadata(device={"device": "cpu Z80"}))


def test_a_package_that_cannot_be_loaded_is_corrupt(tmp_path):
    (tmp_path / compiled.FILE).write_bytes(b"no package")
    with pytest.raises(CorruptArtifact, match="cannot be loaded"):
        compiled.Compiled(tmp_path / compiled.FILE, _metadata())


def test_a_package_must_have_the_digest_in_its_metadata(tmp_path):
    (tmp_path / compiled.FILE).write_bytes(b"a package")
    valid = replace(_metadata(), sha256=metadata.file_sha256(tmp_path / compiled.FILE))
    assert valid.require_file(tmp_path) == tmp_path / compiled.FILE
    (tmp_path / compiled.FILE).write_bytes(b"another")
    with pytest.raises(CorruptArtifact, match="is not the file that"):
        valid.require_file(tmp_path)
