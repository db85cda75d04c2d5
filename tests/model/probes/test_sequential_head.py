"""Published key heads, which are state dicts of linear layers, predict as PyTorch does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from model.probes import sequential_head
from model.probes.results.predictions import prediction_table
from stores.errors import CorruptArtifact


def _head(*widths):
    torch.manual_seed(len(widths))
    layers = []
    for before, after in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.9)]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:])).eval()


@pytest.mark.parametrize("widths", [(384, 2048, 24), (384, 40, 50, 24), (384, 24)])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_a_head_predicts_the_mean_of_its_outputs_over_windows(tmp_path, widths, wrap):
    head = _head(*widths)
    torch.save(wrap(head.state_dict()), tmp_path / "head.pth")
    probe = sequential_head.read(tmp_path / "head.pth")
    windows = np.random.default_rng(0).normal(size=(9, 384)).astype(np.float32)
    songs = ["a", "a", "b", "b", "b", "c", "c", "c", "c"]
    with torch.no_grad():
        outputs = head(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(probe.outputs(windows), outputs, rtol=1e-4, atol=1e-5)
    expected = [sequential_head.KEYS[outputs[[s == song for s in songs]].mean(0).argmax()] for song in songs]
    table = prediction_table(probe, [str(i) for i in range(9)], windows, songs)
    assert table.column("prediction").to_pylist() == expected


def test_the_outputs_alternate_between_major_and_minor():
    assert sequential_head.KEYS[:4] == ("C major", "C minor", "Db major", "Db minor")
    assert sequential_head.KEYS[-2:] == ("B major", "B minor")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (_head(384, 8, 23).state_dict(), "has 23 outputs; a key head has 24"),
        ({**_head(384, 8, 24).state_dict(), "scale": torch.ones(1)}, "holds 'scale'"),
        ({"0.weight": torch.ones(24, 384)}, "a weight and a bias for each"),
        (
            {
                "0.weight": torch.ones(8, 384),
                "0.bias": torch.ones(8),
                "2.weight": torch.ones(24, 9),
                "2.bias": torch.ones(24),
            },
            "does not follow",
        ),
        ({"0.weight": torch.full((24, 384), torch.nan), "0.bias": torch.ones(24)}, "not finite"),
        ({"0.weight": torch.ones(24), "0.bias": torch.ones(24)}, "does not follow"),
    ],
)
def test_other_files_are_an_error_that_says_why(tmp_path, state, message):
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(CorruptArtifact, match=message):
        sequential_head.read(tmp_path / "head.pth")
