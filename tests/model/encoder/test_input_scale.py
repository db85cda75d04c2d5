import math

import pytest
import torch

from model.encoder.input_scale import scale_input


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("power", [0, 1e-3, 10]),
        ("log1p", [0, math.log(1.001), math.log(11)]),
        ("log1p1000", [0, math.log(2), math.log(10_001)]),
        ("log", [-6, -3, 1]),
    ],
)
def test_scales_have_their_documented_formulas(scale, expected):
    scaled = scale_input(torch.tensor([0, 1e-3, 10], dtype=torch.float64), scale)
    torch.testing.assert_close(scaled, torch.tensor(expected, dtype=torch.float64))
