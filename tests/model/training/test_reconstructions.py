"""Pictures of the reconstructions of a masked autoencoder."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import tiny
import torch
from PIL import Image

from model.encoder.patches import patchify
from model.training import train
from model.training.learner import MaskedAutoencoder
from model.training.reconstructions import draw_reconstructions, reconstruct
from stores.quantize import Quantizer


@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_visible_patches_stay_and_hidden_ones_are_predicted(patches):
    config = tiny.encoder_config(patches)
    model = MaskedAutoencoder(tiny.train_config(patches))
    kind = config.patch_kinds[0]
    power, visible = torch.rand(2, 128, 96), torch.tensor([[0, 47], [5, 6]])
    reconstructed = reconstruct(model, power, visible, config)
    original, cells = (patchify(windows, tiny.PATCH_SHAPES[kind]) for windows in (power.log1p(), reconstructed))
    visible_cells = torch.stack([original[i, visible[i]] for i in range(2)])
    normalized = torch.nn.functional.layer_norm(visible_cells, (256,))
    predicted = model({kind: (normalized, visible)})[kind].detach()
    for window in range(2):
        for patch in range(48):
            expected = original if patch in visible[window] else predicted
            torch.testing.assert_close(cells[window, patch], expected[window, patch], atol=1e-5, rtol=1e-4)


def test_a_picture_is_written(tmp_path):
    config = tiny.train_config("square", masking_ratio=0.75)
    draw_reconstructions(tmp_path / "r.png", MaskedAutoencoder(config), config, Quantizer(), tiny.batch())
    with Image.open(tmp_path / "r.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors(256)) > 20


def test_a_training_without_matplotlib_ends_with_a_note(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    config, sources = tiny.train_config("square", masking_ratio=0.75), SimpleNamespace(quantizer=Quantizer())
    batches = SimpleNamespace(batch=lambda _: tiny.batch())
    train._draw(tmp_path / "r.png", MaskedAutoencoder(config), config, sources, batches)
    assert "note: no r.png, because matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "r.png").exists()
