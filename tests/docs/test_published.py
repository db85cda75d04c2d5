"""The examples of docs/published.md run, with small models in the format of the published ones on a local hub."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import hub_server
import numpy as np
import published_models
import pyarrow.parquet as pq
import pytest
import synthetic_audio
import tiny
import torch
from doc_examples import TYPED, python_blocks
from huggingface_hub import constants
from torch.utils.data import DataLoader

from model.encoder.config import PRESETS
from model.probes.config import GRIDS
from model.probes.results.layer_scores import LayerScores
from stores import locations

DOC = (Path(__file__).parents[2] / "docs" / "published.md").read_text()
BLOCKS = python_blocks(DOC)
COMMANDS = re.findall(r"(?m)^    python -m ((?:.*\\\n)*.*)$", DOC)
SMALLER = {"256": "4", "35": "1", "300": "3"}
"""Numbers of the documented training, and those of the test."""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a song, where the hub has small models under the names of the published ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    synthetic_audio.write(tmp_path / "song.mp3", synthetic_audio.chords(10, 44_100), 44_100)
    for name in published_models.KINDS:
        published_models.write(tmp_path / "remote" / "oriyonay" / name, name)
    with hub_server.serve(tmp_path / "remote") as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield tmp_path


@pytest.fixture
def run(workplace):
    """Return a function that runs the example with a text, and returns its names."""

    def execute(text):
        (block,) = [block for block in BLOCKS if text in block]
        names = {}
        exec(compile(block, "docs/published.md", "exec"), names)
        return names

    return execute


def _run_commands(heading, changes):
    """Run the commands below a heading in this process, with some of their words changed."""
    commands = re.findall(r"(?m)^    python -m ((?:.*\\\n)*.*)$", DOC.partition(f"## {heading}")[2].partition("##")[0])
    for command in commands:
        module, *words = shlex.split(command.replace("\\\n", ""))
        words = [changes.get(word, word).replace("~", str(Path.cwd())) for word in words]
        assert importlib.import_module(module).main(words) == 0
    return commands


def test_every_example_has_at_most_ten_lines_of_code():
    assert len(BLOCKS) == 7
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 10


def test_files_are_embedded_by_a_published_model(run):
    names = run("public = myna.embed")
    assert (names["embedding"].shape, names["windows"].shape, names["public"].shape) == ((64,), (4, 64), (3, 64))


def test_a_key_comes_from_windows_of_100000_samples(run):
    names = run("window_frames=196")
    assert names["windows"].shape == (1, 64)
    assert names["key"] in names["keys"]
    assert len(names["keys"]) == 24


def test_layers_and_tokens_come_from_one_call(run):
    names = run('layer="all")\nfused')
    assert names["layers"].shape == (2, 128)
    np.testing.assert_allclose(names["fused"], names["layers"].mean(axis=0), atol=1e-5)
    assert names["tokens"].shape == (4, 96, 64)


def test_a_transformer_for_scikit_learn_embeds_paths(run):
    pytest.importorskip("sklearn")
    assert run("TransformerMixin")["features"].shape == (2, 128)


def test_the_module_is_exported(run):
    names = run("torch.export")
    torch.testing.assert_close(names["program"].module()(names["mel"]), names["embeddings"])


def _stub(monkeypatch, name, **content):
    """Make a module of another package importable, unless it is installed, with its published interface."""
    root = name.partition(".")[0]
    if importlib.util.find_spec(root) if root not in sys.modules else sys.modules[root].__spec__:
        return
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:length]))
        module.__path__ = []
        module.__dict__.update(content if length == len(parts) else {})
        if length == len(parts) or module.__name__ not in sys.modules:
            monkeypatch.setitem(sys.modules, module.__name__, module)


def test_marble_gets_a_vector_for_each_window_of_every_layer(run, monkeypatch):
    _stub(monkeypatch, "marble.core.base_encoder", BaseEncoder=torch.nn.Module)
    encoder = run("class MynaEncoder(")["MynaEncoder"]()
    samples = 0.1 * torch.randn(2, 160_000, generator=torch.Generator().manual_seed(0))
    layers = encoder(samples)
    assert [tuple(layer.shape) for layer in layers] == [(2, 4, 128)] * 2
    expected = encoder.myna.embed(samples[1].numpy(), 16_000, pool="none", layer=2)
    np.testing.assert_allclose(layers[1][1], expected, atol=1e-5)
    assert pytest.approx(1 / 3.072) == encoder.TOKEN_RATE


class _Collator:
    """The collator of mteb, without its resampling, because the clips of the test have the rate already."""

    def __init__(self, *, target_sampling_rate):
        self.rate = target_sampling_rate

    def __call__(self, rows):
        assert all(row["audio"]["sampling_rate"] == self.rate for row in rows)
        return {"audio": [row["audio"] for row in rows]}


def test_mteb_gets_an_embedding_for_each_clip(run, monkeypatch):
    _stub(monkeypatch, "mteb.models.abs_encoder", AbsEncoder=object)
    _stub(monkeypatch, "mteb.models.modality_collators", AudioCollator=_Collator)
    encoder = run("class MynaForMteb(")["MynaForMteb"]()
    rng = np.random.default_rng(0)
    clips = [{"audio": {"array": 0.1 * rng.normal(size=n), "sampling_rate": 16_000}} for n in (20_000, 60_000, 90_000)]
    loader = DataLoader(clips, batch_size=2)
    embeddings = encoder.encode(loader, task_metadata=None, hf_split="test", hf_subset="default")
    assert embeddings.shape == (3, 128)
    np.testing.assert_allclose(embeddings[2], encoder.myna.embed(clips[2]["audio"]["array"], 16_000), atol=1e-5)


@pytest.mark.slow
def test_own_tracks_are_trained_on_from_a_published_model(workplace, monkeypatch):
    monkeypatch.setitem(PRESETS, "myna-hybrid", replace(published_models.encoder("myna-hybrid").config))
    (workplace / "music").mkdir()
    for number in range(5):
        shutil.copy(workplace / "song.mp3", workplace / "music" / f"{number}.mp3")
    commands = _run_commands("Training on with your own tracks", SMALLER)
    assert len(commands) == 3
    config = (workplace / "runs" / "mine" / "config.json").read_text()
    assert '"freeze_encoder_steps": 1' in config
    assert pq.read_table(workplace / "music.parquet").num_rows == 5


@pytest.mark.slow
def test_every_layer_is_scored_by_three_commands(workplace, monkeypatch, make_store):
    monkeypatch.setitem(GRIDS, "quick", tiny.grid())
    (workplace / "stores").mkdir()
    splits = [("train", "valid", "test")[i % 3] for i in range(24)]
    store = make_store([96] * 24, "stores/gtzan.zarr", splits=splits)
    store.update([replace(row, labels={"genre": f"genre-{i // 3 % 2}"}) for i, row in enumerate(store.rows)])
    assert len(_run_commands("Scores of every layer", {"3-8": "1-2"})) == 3
    scores = LayerScores.read(locations.layer_scores("myna-hybrid", "gtzan", "genre"))
    assert [row.layer for row in scores.rows] == [1, 2, "1-2", "mean"]


def test_the_commands_are_those_of_this_project():
    assert {module for module, _ in TYPED.findall(DOC)} == {
        *("model.models", "dags.embed", "pipeline.ingest", "model.train", "model.extract", "model.probe")
    }
