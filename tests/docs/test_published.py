"""The examples of docs/published.md run, with small models in the format of the published ones on a local hub."""

from __future__ import annotations

from pathlib import Path

import hub_server
import published_models
import pytest
import synthetic_audio
import torch
from doc_examples import TYPED, python_blocks
from huggingface_hub import constants

DOC = (Path(__file__).parents[2] / "docs" / "published.md").read_text()
BLOCKS = python_blocks(DOC)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs an example and returns its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    synthetic_audio.write(tmp_path / "song.mp3", synthetic_audio.chords(10, 44_100), 44_100)
    for name in published_models.KINDS:
        published_models.write(tmp_path / "remote" / "oriyonay" / name, name)
    with hub_server.serve(tmp_path / "remote") as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)

        def execute(number):
            names = {}
            exec(compile(BLOCKS[number], "docs/published.md", "exec"), names)
            return names

        yield execute


def test_every_example_has_at_most_ten_lines_of_code():
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 10


def test_files_are_embedded_by_a_published_model(run):
    names = run(0)
    assert (names["embedding"].shape, names["windows"].shape, names["public"].shape) == ((64,), (4, 64), (3, 64))


def test_a_key_comes_from_windows_of_100000_samples(run):
    names = run(1)
    assert names["windows"].shape == (1, 64)
    assert names["key"] in names["keys"]
    assert len(names["keys"]) == 24


def test_a_transformer_for_scikit_learn_embeds_paths(run):
    pytest.importorskip("sklearn")
    assert run(2)["features"].shape == (2, 128)


def test_the_module_is_exported(run):
    names = run(3)
    torch.testing.assert_close(names["program"].module()(names["mel"]), names["embeddings"])


def test_the_commands_are_those_of_this_project():
    assert {module for module, _ in TYPED.findall(DOC)} == {
        "model.models",
        "dags.embed",
        "pipeline.ingest",
        "model.train",
    }
