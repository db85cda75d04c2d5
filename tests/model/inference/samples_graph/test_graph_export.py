"""`model.export onnx --from samples`: a graph from samples to answers, its description, and use without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import synthetic_audio
import tiny
import torch
from doc_examples import python_blocks

import model
from model import export
from model.inference import representations
from model.inference.samples_graph import validation
from model.inference.samples_graph.description import GraphDescription
from model.inference.samples_graph.validation import GraphValidation
from model.probes import recording_answer
from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.probe import Probe
from model.probes.results.predictions import prediction_table
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.grid_search import GridSearch
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore

DOC = (Path(__file__).parents[4] / "docs" / "serving.md").read_text()
PACKAGES = "torch", "model", "stores", "pipeline", "dags", "scipy"
"""Packages that a program without PyTorch must not need."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a run, a probe of its embeddings, a song, and a graph with the probe."""
    folder = tmp_path_factory.mktemp("graph")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        tiny.write_run(folder / "runs" / "first", tiny.train_config("hybrid"))
        _write_probe(folder / "probe.safetensors")
        synthetic_audio.write(folder / "song.wav", synthetic_audio.chords(8, 44_100), 44_100)
        assert export.main([*WORDS, "--out", "graph", "--with-probe", "probe.safetensors"]) == 0
    return folder


WORDS = ["onnx", "--from", "samples", "--checkpoint", "runs/first"]


def _write_probe(path, **changes):
    representation = representations.of_checkpoint(Path("runs/first/encoder.safetensors"))
    provenance = {**representation.settings, "representation": "first", "engine": {"layer": None}, "digest": "d"}
    separable = tiny.separable(60, width=64, noise=0.5)
    store = FeatureStore(separable.embeddings, separable.rows, {**provenance, **changes})
    result = find_winning_probe(store, "key", tiny.grid(hidden=(8,)), GridSearch(torch.device("cpu"), torch.float32))
    write_winning_probe(path, result, store.provenance, {"dataset": "made"})


@pytest.fixture
def here(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return workplace


def _session(folder):
    return onnxruntime.InferenceSession(str(folder / "model.onnx"))


@pytest.mark.parametrize("samples", [1025, 30_000, 49_151, 49_152, 120_000, 200_001])
@pytest.mark.parametrize("recordings", [1, 3])
def test_any_length_and_batch_gives_the_embeddings_of_eager(here, samples, recordings):
    sounds = np.random.default_rng(samples).uniform(-0.5, 0.5, (recordings, samples)).astype(np.float32)
    embedding, windows, *_ = _session(here / "graph").run(None, {"samples": sounds})
    myna = model.Myna.from_pretrained("runs/first", precision="fp32")
    for sound, mean, rows in zip(sounds, embedding, windows, strict=True):
        expected = myna.embed(sound, 16_000, pool="none")
        np.testing.assert_allclose(rows, expected, atol=1e-4 * np.linalg.norm(expected, axis=1).min())
        np.testing.assert_allclose(mean, expected.mean(axis=0), atol=1e-5)


def test_probabilities_are_those_of_the_probe(here):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 100_000)).astype(np.float32)
    names = ["embedding", "windows", "outputs", "window_outputs"]
    embedding, windows, outputs, window_outputs = _session(here / "graph").run(names, {"samples": sound})
    probe = Probe.read(here / "probe.safetensors")
    for embeddings, probabilities in ((embedding, outputs), (windows[0], window_outputs[0])):
        ids = [str(row) for row in range(len(embeddings))]
        table = prediction_table(probe, ids, embeddings, ids)
        expected = np.stack([table[name].to_numpy() for name in probe.metadata["classes"]], axis=1)
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_answers_are_those_of_the_probe_with_its_vote_and_distance(here, pool):
    folder = here / "graph"
    if pool == "none":
        folder = here / "graph-of-windows"
        _write_probe(here / "windows.safetensors", pool="none")
        assert export.main([*WORDS, "--out", str(folder), "--with-probe", "windows.safetensors"]) == 0
    probe = Probe.read(here / ("probe.safetensors" if pool == "mean" else "windows.safetensors"))
    described = GraphDescription.read(folder)
    assert (described.probe.pool, described.probe.unlike_remark) == (pool, "unlike all training clips")
    session = _session(folder)
    names = [output.name for output in described.outputs]
    for samples in (3_000, 100_000, 170_001):
        sound = np.random.default_rng(samples).uniform(-0.5, 0.5, (1, samples)).astype(np.float32)
        results = dict(zip(names, session.run(names, {"samples": sound}), strict=True))
        whole, windows = recording_answer.answer(probe, results["windows"][0])
        np.testing.assert_allclose(results["outputs"][0], list(whole.values.values()), atol=1e-5)
        assert described.probe.labels[results["top_label"][0]] == whole.prediction
        assert results["distance_percentile"][0] == pytest.approx(whole.distance_percentile, abs=0.1)
        assert bool(results["unlike_training"][0]) == bool(whole.remark)
        expected = [one.distance_percentile for one in windows]
        np.testing.assert_allclose(results["window_distance_percentiles"][0], expected, atol=0.1)


def test_the_description_states_everything_and_the_graph_holds_it_too(here):
    graph = onnx.load(here / "graph" / "model.onnx")
    described = GraphDescription.read(here / "graph")
    entries = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(entries["myna"]) == json.loads(json.dumps(described.metadata()))
    assert json.loads(entries["labels"]) == list(described.probe.labels) == ["class-0", "class-1", "class-2"]
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    ]
    assert shapes == [["recordings", "samples"], *(list(output.shape) for output in described.outputs)]
    assert (described.input.sample_rate_hz, described.input.min_samples) == (16_000, 1025)
    assert (described.windows.window_frames, described.windows.tail, described.precision) == (96, "right", "fp32")
    assert described.validation["largest_distance"] < validation.TOLERANCE
    assert described.validation["same_top_label"] is True
    assert {"torch", "onnx", "onnxruntime"} <= set(described.versions)


def test_the_graph_holds_no_path_of_this_machine(here):
    content = (here / "graph" / "model.onnx").read_bytes()
    assert str(Path(model.__file__).parents[1]).encode() not in content


def test_a_description_of_another_graph_is_an_error(here, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(here / "graph", folder)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    with pytest.raises(DigestMismatch, match=r"is not the graph that model.json describes.*copy both files"):
        GraphDescription.read(folder)
    (folder / "model.json").write_text('{"format": "other"}')
    with pytest.raises(CorruptArtifact, match="export the graph again"):
        GraphDescription.read(folder)
    (folder / "model.json").unlink()
    with pytest.raises(MissingArtifact, match=r"no model.json .*--from samples"):
        GraphDescription.read(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "other"}, "weights: "),
        ({"tail": "other", "window_frames": 48}, "tail"),
        ({"engine": {"layer": 1}}, "layer: the last, the probe needs 1"),
        ({"pool": "tokens"}, "--pool tokens, and only mean and none are served"),
    ],
)
def test_a_probe_of_other_embeddings_is_rejected_with_each_difference(here, capsys, changes, message):
    _write_probe(here / "other.safetensors", **changes)
    assert export.main([*WORDS, "--out", "no", "--with-probe", "other.safetensors"]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "no").exists()


def test_a_probe_of_a_baseline_is_rejected(here, capsys):
    probe = Probe.read(here / "probe.safetensors")
    features = {"representation": "mfcc", "digest": "d"}
    replace(probe, metadata={**probe.metadata, "features": features}).write(here / "mfcc.safetensors")
    assert export.main([*WORDS, "--with-probe", "mfcc.safetensors"]) == 2
    assert "was not trained on embeddings of an encoder of this project" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["onnx", "--with-probe", "x"], "--with-probe and --int8 belong to graphs from samples"),
        (["compiled", "--from", "samples"], "--from samples makes a graph of onnx in fp32"),
        (["onnx", "--from", "samples", "--precision", "bf16"], "--from samples makes a graph of onnx in fp32"),
        (["onnx", "--from", "samples", "--with-probe", "none.safetensors"], "no probe at none.safetensors"),
    ],
)
def test_options_that_do_not_fit_are_an_error(here, capsys, words, message):
    assert export.main([*words, "--checkpoint", "runs/first"]) == 2
    assert message in capsys.readouterr().err


def test_an_inaccurate_graph_is_not_published(here, monkeypatch, capsys):
    wrong = GraphValidation(1, 1e-3, 1.0, 1.0, 0.0, True)
    monkeypatch.setattr(validation, "compare", lambda *_: wrong)
    assert export.main([*WORDS, "--out", "wrong"]) == 2
    assert "the graph is not published, because it differs too much" in capsys.readouterr().err
    assert not list(here.glob("*wrong*"))
    with pytest.raises(InvalidInput):
        replace(wrong, largest_distance=0.0, same_top_label=False).require("fp32")
    with pytest.raises(InvalidInput):
        replace(wrong, least_cosine=0.9).require("int8")


def test_int8_weights_are_smaller_and_their_cosine_is_stated(here):
    assert export.main([*WORDS, "--out", "small", "--int8"]) == 0
    described = GraphDescription.read(here / "small")
    graph = onnx.load(here / "small" / "model.onnx").graph
    assert described.precision == "int8"
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) >= 5
    assert 0.98 <= described.validation["least_cosine"] < 1
    assert described.validation["least_centered_cosine"] < 1


def _run_without_torch(folder, *words):
    """Run the documented script in a process where importing this project or PyTorch fails, and return its lines."""
    (script,) = [block for block in python_blocks(DOC) if "onnxruntime" in block]
    assert len([line for line in script.splitlines() if line.strip()]) <= 15
    blocked = f"import sys\nfor name in {PACKAGES!r}: sys.modules[name] = None\n"
    (folder / "script.py").write_text(blocked + script)
    process = subprocess.run([sys.executable, "script.py", *words], cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def test_the_documented_script_embeds_without_torch_as_this_project_does(here):
    embedding, probabilities = _run_without_torch(here, "graph", "song.wav")
    expected = model.Myna.from_pretrained("runs/first", precision="fp32").embed("song.wav")
    np.testing.assert_allclose(embedding, expected, atol=1e-4 * np.linalg.norm(expected))
    assert sum(probabilities.values()) == pytest.approx(1)


@pytest.mark.slow
def test_the_documented_javascript_prints_the_same_numbers(here):
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "onnxruntime-node"]
    if subprocess.run(words, cwd=here, capture_output=True, check=False).returncode:
        pytest.skip("onnxruntime-node cannot be installed")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 100_000).astype(np.float32)
    soundfile.write(here / "noise.wav", samples, 16_000, subtype="FLOAT")
    samples.astype("<f4").tofile(here / "noise.f32")
    (here / "script.js").write_text(DOC.partition("```js\n")[2].partition("```")[0])
    process = subprocess.run(
        ["node", "script.js", "graph", "noise.f32"], cwd=here, capture_output=True, text=True, check=True
    )
    embedding, outputs = (json.loads(line) for line in process.stdout.splitlines())
    expected, probabilities = _run_without_torch(here, "graph", "noise.wav")
    np.testing.assert_allclose(embedding, expected, atol=1e-6)
    np.testing.assert_allclose(outputs, list(probabilities.values()), atol=1e-6)
