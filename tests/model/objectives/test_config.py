"""Settings of objectives: the presets, the schedule of gamma, and errors."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from model.objectives.config import PRESETS, ObjectiveConfig, preset
from stores.errors import InvalidInput

# name: gamma, its schedule, temperature, its rule, whether the loss is multiplied by the temperature, rho
GLOBAL_PRESETS = {
    "sogclr": (0.9, "constant", 0.1, "constant", True, 0.0),
    "isogclr": (0.9, "constant", 0.1, "individual-momentum", True, 0.3),
    "fastclip-v0": (0.2, "cosine", 0.07, "shared", False, 0.0),
    "fastclip-v1": (0.2, "cosine", 0.07, "constant", True, 0.0),
    "fastclip-v2": (0.2, "cosine", 0.03, "individual", True, 7.0),
    "fastclip-v3": (0.2, "cosine", 0.07, "shared", True, 6.5),
}


def test_the_global_presets_differ_as_in_their_papers():
    presets = {
        name: (
            config.gamma, config.gamma_schedule, config.temperature, config.temperature_rule, config.scaled, config.rho,
        )
        for name, config in PRESETS.items()
        if config.has_memory
    }  # fmt: skip
    assert presets == GLOBAL_PRESETS


def test_the_other_presets_have_no_memory():
    assert {name for name, config in PRESETS.items() if not config.has_memory} == {"infonce", "dcl", "mbcl", "mae"}


def test_gamma_is_constant_or_follows_a_cosine_from_1():
    assert [preset("sogclr").inner_learning_rate(epoch) for epoch in (0, 1, 99)] == [0.9] * 3
    cosine = replace(preset("fastclip-v1"), gamma_decay_epochs=4)
    rates = [cosine.inner_learning_rate(epoch) for epoch in range(7)]
    assert rates[:5] == pytest.approx([0.2 + 0.8 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(5)])
    assert (rates[0], rates[2], rates[4:]) == (1.0, pytest.approx(0.6), [0.2] * 3)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_are_restored_from_json(name):
    assert ObjectiveConfig.from_dict(json.loads(json.dumps(preset(name).to_dict()))) == preset(name)


def test_errors_list_unknown_and_missing_names():
    values = preset("sogclr").to_dict()
    with pytest.raises(InvalidInput, match="unknown key 'momentum'; unknown key 'size'"):
        ObjectiveConfig.from_dict({**values, "momentum": 0.9, "size": 1})
    del values["gamma"]
    with pytest.raises(InvalidInput, match="ObjectiveConfig has missing keys: gamma"):
        ObjectiveConfig.from_dict(values)


def test_the_error_for_an_unknown_preset_lists_the_presets():
    with pytest.raises(
        InvalidInput, match=r"objective must be one of infonce, dcl, mbcl, mae, sogclr.*\(got 'simclr'\)"
    ):
        preset("simclr")


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("infonce", {"family": "triplet"}, r"family must be one of infonce, dcl, mbcl, global, mae \(got 'triplet'\)"),
        ("sogclr", {"gamma_schedule": "linear"}, r"gamma_schedule must be .*\(got 'linear'\)"),
        ("sogclr", {"temperature_rule": "ours"}, "must be one of constant, shared, individual, individual-momentum"),
        ("infonce", {"temperature": 0.0}, r"temperature must be positive and finite \(got 0\.0\)"),
        ("infonce", {"temperature": float("nan")}, r"temperature must be positive and finite \(got nan\)"),
        ("sogclr", {"gamma": 0.0}, r"gamma must be greater than 0 and at most 1 \(got 0\.0\)"),
        ("sogclr", {"gamma": 1.1}, r"gamma must be .*\(got 1\.1\)"),
        ("fastclip-v1", {"gamma_decay_epochs": 0}, r"gamma_decay_epochs must be at least 1 \(got 0\)"),
        ("isogclr", {"temperature": 0.01}, r"must start within \[0\.05, 0\.7\] for isogclr, .*\(got 0\.01\)"),
        ("fastclip-v3", {"rho": -1.0}, r"rho must be at least 0 and finite \(got -1\.0\)"),
        ("fastclip-v3", {"temperature_learning_rate": 0.0}, r"_rate must be positive and finite \(got 0\.0\)"),
    ],
)
def test_settings_out_of_range_raise_an_error(name, changed, message):
    with pytest.raises(InvalidInput, match=message):
        replace(preset(name), **changed)
