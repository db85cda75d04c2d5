"""Objectives as settings: what each preset is, how gamma moves, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from model.objectives.config import PRESETS, ObjectiveConfig, preset
from stores.errors import InvalidInput

# name: gamma, its schedule, whose temperature, multiplied by it, rho
TABLE = {
    "sogclr": (0.9, "constant", "constant", True, 0.0),
    "isogclr": (0.9, "constant", "individual", True, 0.3),
    "fastclip-v0": (0.2, "cosine", "shared", False, 0.0),
    "fastclip-v1": (0.2, "cosine", "constant", True, 0.0),
    "fastclip-v2": (0.2, "cosine", "individual", True, 7.0),
    "fastclip-v3": (0.2, "cosine", "shared", True, 6.5),
}


def test_the_global_presets_differ_as_their_papers_say():
    found = {
        name: (one.gamma, one.gamma_schedule, one.temperature_rule, one.scaled, one.rho)
        for name, one in PRESETS.items()
        if one.remembers
    }
    assert found == TABLE


def test_the_others_remember_nothing():
    assert {name for name, one in PRESETS.items() if not one.remembers} == {"infonce", "mbcl", "mae"}


def test_a_constant_gamma_is_itself_and_the_cosine_falls_from_1_epoch_by_epoch():
    assert [preset("sogclr").inner_learning_rate(epoch) for epoch in (0, 1, 99)] == [0.9] * 3
    cosine = replace(preset("fastclip-v1"), gamma_decay_epochs=4)
    rates = [cosine.inner_learning_rate(epoch) for epoch in range(7)]
    assert rates[:5] == pytest.approx([0.2 + 0.8 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(5)])
    assert (rates[0], rates[2], rates[4:]) == (1.0, pytest.approx(0.6), [0.2] * 3)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_come_back_from_json(name):
    assert ObjectiveConfig.from_dict(json.loads(json.dumps(preset(name).to_dict()))) == preset(name)


def test_unknown_and_missing_keys_are_named():
    values = preset("sogclr").to_dict()
    del values["gamma"]
    with pytest.raises(InvalidInput, match=r"differ from this version's in \['gamma', 'momentum'\]"):
        ObjectiveConfig.from_dict({**values, "momentum": 0.9})


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="objective 'simclr' is unknown; there are infonce, mbcl, mae, sogclr"):
        preset("simclr")


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("infonce", {"family": "triplet"}, "family is 'triplet'; use one of infonce, mbcl, global, mae"),
        ("sogclr", {"gamma_schedule": "linear"}, "gamma_schedule is 'linear'"),
        ("sogclr", {"temperature_rule": "ours"}, "use one of constant, shared, individual"),
        ("infonce", {"temperature": 0.0}, r"temperature 0\.0; it must be positive"),
        ("infonce", {"temperature": float("nan")}, "temperature nan"),
        ("sogclr", {"gamma": 0.0}, r"gamma 0\.0, .*needs 0 < gamma <= 1"),
        ("sogclr", {"gamma": 1.1}, r"gamma 1\.1"),
        ("fastclip-v1", {"gamma_decay_epochs": 0}, "over 0 epochs"),
        ("isogclr", {"temperature": 0.01}, r"must start within \[0\.05, 0\.7\]"),
        ("fastclip-v3", {"rho": -1.0}, r"rho -1\.0"),
        ("fastclip-v3", {"temperature_learning_rate": 0.0}, r"temperature learning rate 0\.0: .*more than 0"),
    ],
)
def test_what_cannot_be_used_is_refused(name, changed, told):
    with pytest.raises(InvalidInput, match=told):
        replace(preset(name), **changed)
