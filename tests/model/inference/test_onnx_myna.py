"""`Myna.from_pretrained(..., engine="onnx")` embeds with a graph from samples, and imports no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import synthetic_audio
import tiny
from engine_contract import encoder_of

import model
from model import export
from model.encoder.config import preset
from model.inference.myna import Myna
from model.inference.onnx_myna import OnnxMyna
from stores.errors import DecodeError, DigestMismatch, InvalidInput, MissingArtifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a run, its graph and a song."""
    folder = tmp_path_factory.mktemp("onnx-myna")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        tiny.write_run(folder / "runs" / "first", tiny.train_config("hybrid"))
        synthetic_audio.write(folder / "song.mp3", synthetic_audio.chords(8, 44_100), 44_100)
        assert export.main(["onnx", "--from", "samples", "--checkpoint", "first"]) == 0
    return folder


@pytest.fixture
def here(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return workplace


@pytest.mark.parametrize("name", ["first", "runs/first", "runs/first/encoder.safetensors"])
def test_a_graph_is_found_by_its_run_and_embeds_as_eager_does(here, name):
    graph = model.Myna.from_pretrained(name, engine="onnx")
    eager = model.Myna.from_pretrained("runs/first", precision="fp32")
    assert isinstance(graph, OnnxMyna)
    assert isinstance(eager, Myna)
    assert isinstance(graph, model.Myna)
    assert isinstance(eager, model.Myna)
    assert graph.width == eager.width == 64
    for pool in ("mean", "none"):
        expected = eager.embed("song.mp3", pool=pool)
        np.testing.assert_allclose(graph.embed("song.mp3", pool=pool), expected, atol=1e-4 * np.linalg.norm(expected))
    stereo = np.random.default_rng(0).integers(-9_000, 9_000, (50_000, 2), np.int16)
    expected = eager.embed(stereo, 22_050)
    np.testing.assert_allclose(graph.embed(stereo, 22_050), expected, atol=1e-4 * np.linalg.norm(expected))


SCRIPT = """
import json, sys, time
start = time.process_time()
import model
from_pretrained = model.Myna.from_pretrained
import model.inference.onnx_myna, onnxruntime
seconds = time.process_time() - start
myna = from_pretrained("runs/first", engine="onnx")
embedding = myna.embed("song.mp3")
print(json.dumps([seconds, [name for name in ("torch", "sklearn", "pandas") if name in sys.modules], len(embedding)]))
"""


def test_torch_is_not_imported(here):
    process = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    seconds, modules, width = json.loads(process.stdout)
    assert modules == []
    assert width == 64
    assert seconds < 2.5  # 0.45 s on a quiet machine


def test_without_a_graph_the_error_names_the_command(here):
    tiny.write_run(here / "runs" / "second")
    for name in ("second", "runs/second", "nowhere"):
        with pytest.raises(MissingArtifact, match=f"model.export onnx --from samples --checkpoint {name}`"):
            model.Myna.from_pretrained(name, engine="onnx")


def test_a_graph_that_its_description_does_not_describe_is_an_error(here, tmp_path):
    folder = here / "runs" / "first" / "encoder.engines" / "onnx-samples"
    (tmp_path / "model.json").write_bytes((folder / "model.json").read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"other")
    with pytest.raises(DigestMismatch, match="copy both files of one export"):
        model.Myna.from_pretrained(tmp_path, engine="onnx")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["input"].update(sample_rate_hz=22_050),
        lambda content: content["windows"].update(hop_frames=48),
        lambda content: content.update(weights="0" * 16),
        lambda content: content["outputs"].reverse(),
    ],
)
def test_a_description_that_was_changed_is_an_error_that_names_what(here, tmp_path, change):
    folder = here / "runs" / "first" / "encoder.engines" / "onnx-samples"
    content = json.loads((folder / "model.json").read_text())
    changed = json.loads((folder / "model.json").read_text())
    change(changed)
    (key,) = [key for key in content if content[key] != changed[key]]
    (tmp_path / "model.json").write_text(json.dumps(changed))
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(DigestMismatch, match=f"does not describe its graph: {key} differ from the metadata"):
        model.Myna.from_pretrained(tmp_path, engine="onnx")


@pytest.mark.parametrize(
    ("samples", "rate_hz", "error", "message"),
    [
        (np.zeros(0), 16_000, InvalidInput, "samples must have the shape"),
        (np.zeros(1000), 16_000, DecodeError, "too_short: 1000 samples; at least 1025"),
        (np.full(20_000, np.nan), 16_000, DecodeError, "not_finite"),
        (np.zeros(20_000), None, InvalidInput, "samples need a positive sample_rate_hz"),
        *(
            (np.zeros(20_000), rate_hz, InvalidInput, "samples need a positive sample_rate_hz, a whole number of hertz")
            for rate_hz in (-1, 0, 16, 10**9, 16_000.5, np.nan, np.inf, "16000", True)
        ),
        (np.full(20_000, 20_000.0), 16_000, DecodeError, "divide"),
    ],
)
def test_samples_that_cannot_be_embedded_are_an_error(here, samples, rate_hz, error, message):
    graph = model.Myna.from_pretrained("first", engine="onnx")
    with pytest.raises(error, match=message):
        graph.embed(samples, rate_hz)


def test_options_that_a_graph_does_not_have_are_an_error(here):
    graph = model.Myna.from_pretrained("first", engine="onnx")
    with pytest.raises(InvalidInput, match="pool must be mean or none for engine onnx"):
        graph.embed("song.mp3", pool="tokens")
    with pytest.raises(InvalidInput, match="the graph has no probe; export it with --with-probe"):
        graph.predict("song.mp3")
    with pytest.raises(InvalidInput, match="engine='onnx' takes the path"):
        model.Myna.from_pretrained("first", engine="onnx", precision="bf16")
    with pytest.raises(InvalidInput, match="engine 'tensorrt' is unknown here; use one of eager, onnx"):
        model.Myna.from_pretrained("first", engine="tensorrt")


def test_a_model_is_still_built_from_an_encoder():
    myna = model.Myna(encoder_of(tiny.encoder_config("hybrid")), precision="fp32")
    assert isinstance(myna, Myna)
    assert myna.engine.settings.precision == "fp32"


@pytest.mark.slow
def test_a_graph_is_at_least_as_fast_as_eager_in_fp32(here):
    tiny.write_run(here / "runs" / "tiny", tiny.train_config(encoder=preset("tiny")))
    assert export.main(["onnx", "--from", "samples", "--checkpoint", "tiny"]) == 0
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 480_000).astype(np.float32)
    graph = model.Myna.from_pretrained("tiny", engine="onnx", threads=1)
    eager = model.Myna.from_pretrained("runs/tiny", precision="fp32")
    seconds = {"graph": [], "eager": []}
    for _ in range(7):
        for name, each in (("graph", graph), ("eager", eager)):
            start = time.process_time()
            each.embed(samples, 16_000)
            seconds[name].append(time.process_time() - start)
    assert min(seconds["graph"]) < 1.1 * min(seconds["eager"])
