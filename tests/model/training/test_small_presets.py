"""The small presets differ in their patches only, so that kinds of patches can be compared on a CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.encoder.config import PRESETS, preset
from model.encoder.vit import Encoder


@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_small_presets_differ_in_their_patches_only(patches):
    config = preset(f"tiny-{patches}")
    assert replace(config, name="tiny", patches="vertical") == PRESETS["tiny"]
    assert config.patches == patches
    assert sum(p.numel() for p in Encoder(config).parameters()) < 4e6
