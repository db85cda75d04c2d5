"""Temperature scaling recovers the scale of outputs, the error is that of plain loops, and predictions never change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_report
import tiny
import torch

from model.page import calibration as section
from model.probes.evaluation.calibration import calibration_error, fit_temperature
from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.probe import Probe
from model.probes.results.predictions import prediction_table
from model.probes.results.score_validation import read
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.grid_search import GridSearch
from stores.errors import CorruptArtifact

PLAIN = GridSearch(torch.device("cpu"), torch.float32)


def _drawn(kind, count=20_000, classes=4, seed=0):
    """Return outputs, and targets that are drawn with exactly the probabilities of the outputs."""
    rng = np.random.default_rng(seed)
    outputs = 1.5 * rng.normal(size=(count, classes)).astype(np.float32)
    if kind == "tags":
        return outputs, (rng.random(outputs.shape) < 1 / (1 + np.exp(-outputs))).astype(np.float32)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return outputs, (probabilities.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=classes - 1)


@pytest.mark.parametrize("kind", ["classes", "tags"])
@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_is_the_factor_of_overconfidence(kind, scale):
    outputs, targets = _drawn(kind)
    assert fit_temperature(scale * outputs, targets, kind) == pytest.approx(scale, rel=0.05)


def _plain_error(confidences, correct, bins):
    total = 0.0
    for lower in range(bins):
        inside = [i for i, p in enumerate(confidences) if min(int(p * bins), bins - 1) == lower]
        if inside:
            confidence = sum(confidences[i] for i in inside) / len(inside)
            total += len(inside) * abs(confidence - sum(correct[i] for i in inside) / len(inside))
    return total / len(confidences)


def test_the_error_is_that_of_plain_loops():
    outputs, targets = _drawn("classes", count=300)
    probabilities = torch.from_numpy(outputs).double().softmax(dim=1).numpy()
    confidences, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    assert calibration_error(probabilities, targets) == pytest.approx(_plain_error(confidences, correct, 15))
    tags = (np.arange(1200).reshape(300, 4) % 3 == 0).astype(np.float32)
    assert calibration_error(probabilities, tags) == pytest.approx(
        _plain_error(probabilities.ravel(), tags.ravel(), 15)
    )


def test_scaling_by_the_temperature_lowers_the_error_of_overconfident_outputs():
    outputs, targets = _drawn("classes")
    temperature = fit_temperature(4 * outputs, targets, "classes")
    before, after = (
        calibration_error(torch.from_numpy(4 * outputs / t).double().softmax(dim=1).numpy(), targets)
        for t in (1.0, temperature)
    )
    assert before > 0.15
    assert after < 0.02


@pytest.fixture(scope="module")
def result():
    return tiny.separable(120, noise=0.6), find_winning_probe(
        tiny.separable(120, noise=0.6), "key", tiny.grid(patience=30), PLAIN
    )


def test_a_probe_is_stored_with_its_temperature_and_its_errors(result, tmp_path):
    features, winning = result
    assert set(winning.calibration) == {"temperature", "error_before", "error_after", "clips"}
    assert winning.calibration["clips"] == 40
    write_winning_probe(tmp_path / "p.safetensors", winning, features.provenance, {"dataset": "made"})
    probe = Probe.read(tmp_path / "p.safetensors")
    assert probe.temperature == winning.calibration["temperature"]
    ids = [row.id for row in features.rows]
    plain = replace(probe, metadata={key: value for key, value in probe.metadata.items() if key != "calibration"})
    assert plain.temperature == 1
    calibrated, raw = (prediction_table(each, ids, features.embeddings, ids) for each in (probe, plain))
    assert calibrated["prediction"] == raw["prediction"]
    assert calibrated["probability"] != raw["probability"]
    outputs = torch.from_numpy(probe.outputs(features.embeddings)) / probe.temperature
    np.testing.assert_allclose(
        calibrated["probability"].to_numpy(), outputs.softmax(dim=1).max(dim=1).values, rtol=1e-6
    )


@pytest.mark.parametrize("temperature", [0, -1.0, "hot", None, True, 1e999])
def test_a_temperature_of_nonsense_is_rejected(result, tmp_path, temperature):
    features, winning = result
    wrong = replace(winning, calibration={"temperature": temperature})
    try:
        write_winning_probe(tmp_path / "p.safetensors", wrong, features.provenance, {"dataset": "made"})
    except ValueError:  # infinity is no JSON
        return
    with pytest.raises(CorruptArtifact, match=r"its temperature is .*, and a positive number is needed"):
        Probe.read(tmp_path / "p.safetensors")


def test_the_page_shows_the_errors_and_older_scores_have_none():
    scores = synthetic_report.scores()
    assert section.section([scores]) is None
    values = {"temperature": 1.71, "error_before": 0.2, "error_after": 0.05, "clips": 60.0}
    calibrated = replace(scores, rows=(replace(scores.rows[0], calibration=values), *scores.rows[1:]))
    (row,) = section.section([calibrated]).content["table"].rows
    assert row.cells == ("made / genre", "1.71", "0.200", "0.050", "60")


def test_impossible_errors_in_a_file_of_scores_are_rejected(tmp_path):
    scores = synthetic_report.scores()
    values = {"temperature": 1.0, "error_before": 1.2, "error_after": 0.05, "clips": 60.0}
    replace(scores, rows=(replace(scores.rows[0], calibration=values), *scores.rows[1:])).write(
        tmp_path / "made.genre.json"
    )
    with pytest.raises(CorruptArtifact, match=r"a calibration error is 1\.2"):
        read(tmp_path / "made.genre.json")
