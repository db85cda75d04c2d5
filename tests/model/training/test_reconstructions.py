"""Pictures of what a masked autoencoder paints."""

from __future__ import annotations

import pytest
import tiny
import torch
from PIL import Image

from model.encoder.config import PATCH_SHAPES
from model.encoder.patches import patchify
from model.training.learner import MaskedAutoencoder
from model.training.reconstructions import draw_reconstructions, reconstruct
from stores.quantize import Quantizer


@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_visible_patches_stay_and_hidden_ones_are_the_decoders(patches):
    config = tiny.encoder_config(patches)
    learner = MaskedAutoencoder(tiny.train_config(patches))
    kind = config.patch_kinds[0]
    power, visible = torch.rand(2, 128, 96), torch.tensor([[0, 47], [5, 6]])
    painted = reconstruct(learner, power, visible, config)
    there, cells = (patchify(one, PATCH_SHAPES[kind]) for one in (power.log1p(), painted))
    seen = torch.stack([there[i, visible[i]] for i in range(2)])
    normal = torch.nn.functional.layer_norm(seen, (256,))
    expected = learner({kind: (normal, visible)})[kind].detach()
    for window in range(2):
        for patch in range(48):
            source = there if patch in visible[window] else expected
            torch.testing.assert_close(cells[window, patch], source[window, patch], atol=1e-5, rtol=1e-4)


def test_a_picture_is_written(tmp_path):
    config = tiny.train_config("square", masking_ratio=0.75)
    draw_reconstructions(tmp_path / "r.png", MaskedAutoencoder(config), config, Quantizer(), tiny.batch())
    with Image.open(tmp_path / "r.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors(256)) > 20
