"""The head of a graph answers as the probe does, for every kind of task and every vote."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.inference.samples_graph.head import ProbeHead
from model.probes.probe import Probe
from model.probes.recording_answer import answer
from model.probes.training.batched_mlp import MlpWeights
from model.probes.training_reference import TrainingReference

RNG = np.random.default_rng(0)
KEYS = ["C major", "A minor", "D major", "B minor"]


def _probe(kind, vote, pool, classes=KEYS, with_reference=True):
    tensors = (torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 4))
    reference = TrainingReference.of(*(RNG.normal(size=(40, 6)).astype(np.float32) for _ in range(2)))
    metadata = {"task": "t", "kind": kind, "classes": classes, "vote": vote, "part": "", "columns": [0, 6]}
    metadata |= {"features": {"pool": pool}, "calibration": {"temperature": 1.7}}
    mean, deviation = torch.full((6,), 0.1), torch.full((6,), 1.3)
    return Probe(mean, deviation, MlpWeights(tensors), metadata, reference if with_reference else None)


@pytest.mark.parametrize("pool", ["mean", "none"])
@pytest.mark.parametrize("kind", ["classes", "key", "tags", "numbers"])
@pytest.mark.parametrize("vote", ["", "vote", "max", "gmean", "mean"])
def test_answers_are_those_of_the_probe(kind, vote, pool):
    probe = _probe(kind, vote, pool)
    recordings = RNG.normal(scale=2, size=(4, 6, 6)).astype(np.float32)
    recordings[0] += 30
    with torch.inference_mode():
        answers = ProbeHead(probe)(torch.from_numpy(recordings))
    for i, windows in enumerate(recordings):
        whole, per_window = answer(probe, windows)
        np.testing.assert_allclose(answers.whole[i], list(whole.values.values()), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(answers.windows[i, 2], list(per_window[2].values.values()), rtol=1e-4, atol=1e-5)
        if kind in ("classes", "key"):
            assert KEYS[answers.top_label[i]] == whole.prediction
        else:
            assert answers.top_label is None
        assert answers.percentile[i].item() == pytest.approx(whole.distance_percentile, abs=0.02)
        assert bool(answers.is_unlike[i]) == bool(whole.remark)
        expected = [one.distance_percentile for one in per_window]
        np.testing.assert_allclose(answers.window_percentiles[i], expected, atol=0.02)
    assert bool(answers.is_unlike[0])


def test_equal_votes_go_to_the_label_that_is_first_in_the_order_of_keys():
    probe = _probe("key", "vote", "none", ["B minor", "D major", "C major", "A minor"])

    for _ in range(12):
        windows = RNG.normal(scale=3, size=(2, 6)).astype(np.float32)
        with torch.inference_mode():
            place = int(ProbeHead(probe)(torch.from_numpy(windows[None])).top_label[0])
        assert probe.metadata["classes"][place] == answer(probe, windows)[0].prediction


def test_a_probe_without_training_embeddings_has_no_distance():
    with torch.inference_mode():
        answers = ProbeHead(_probe("classes", "", "mean", with_reference=False))(torch.zeros(1, 2, 6))
    assert (answers.percentile, answers.is_unlike, answers.window_percentiles) == (None, None, None)
