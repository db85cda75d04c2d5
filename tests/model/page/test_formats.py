"""Numbers and intervals have three digits and a minus as wide as a plus."""

from __future__ import annotations

import pytest

from model.page import formats


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.500"), (-0.0625, "\N{MINUS SIGN}0.062"), (None, "\N{EN DASH}"), (1, "1.000")]
)
def test_numbers_have_three_digits_and_a_wide_minus(value, text):
    assert formats.number(value) == text


def test_intervals_and_estimates():
    assert formats.interval(-0.1, 0.25) == "\N{MINUS SIGN}0.100 to 0.250"
    assert formats.signed_interval(-0.1, 0.25) == "\N{MINUS SIGN}0.100 to +0.250"
    assert formats.estimate(0.2, 0.1, 0.25) == "0.200 (0.100 to 0.250)"
