"""Compiled: the contract of engines for AOTInductor packages, and what is refused."""

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
        return registry.opened(folder, encoder)


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
        return registry.opened(folder, encoder)

    def test_its_batch_is_fixed(self, engine):
        assert engine.shaped(3) is engine
        assert engine.batch_windows == engine.largest == compiled.LARGEST["cpu"]


def _sidecar(**changed):
    facts = {
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
    return EngineMetadata(**{**facts, **changed})


def test_without_a_compiler_it_says_how_to_get_one(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingArtifact, match=r"needs a C\+\+ compiler, and g\+\+ or clang\+\+ is not there: install"):
        compiled.build(encoder, ExportPlan(), tmp_path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingArtifact, match="no-such-compiler is not there"):
        compiled.require()


def test_a_package_of_another_pytorch_or_processor_is_refused_and_both_are_named(tmp_path):
    with pytest.raises(DigestMismatch, match=r"made for torch 1\.0 \(here .*\) and runs nowhere else.*export comp"):
        compiled.Compiled(tmp_path / "none", _sidecar(versions={"torch": "1.0"}))
    with pytest.raises(DigestMismatch, match=r"device cpu Z80 \(here cpu"):
        compiled.Compiled(tmp_path / "none", _sidecar(device={"device": "cpu Z80"}))


def test_a_package_that_cannot_be_loaded_is_corruption(tmp_path):
    (tmp_path / compiled.FILE).write_bytes(b"no package")
    with pytest.raises(CorruptArtifact, match="cannot be loaded"):
        compiled.Compiled(tmp_path / compiled.FILE, _sidecar())


def test_sidecars_and_packages_belong_together(tmp_path):
    (tmp_path / compiled.FILE).write_bytes(b"a package")
    right = replace(_sidecar(), sha256=metadata.sha256(tmp_path / compiled.FILE))
    assert right.require_file(tmp_path) == tmp_path / compiled.FILE
    (tmp_path / compiled.FILE).write_bytes(b"another")
    with pytest.raises(CorruptArtifact, match="is not the file that"):
        right.require_file(tmp_path)
