"""Settings of a training run: each one counts, none is taken on trust."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import pytest
import tiny
import torch

from model.encoder.device import fastest_device, fastest_precision
from model.training.config import ADDED, Precision, TrainConfig
from stores.errors import InvalidInput

OTHER = {
    "encoder": tiny.encoder_config("square"),
    "shards": "other",
    "mel": {"mel_spec": {}, "quantizer": {}, "preprocessing": {}},
    "batch": 5,
    "steps": 9,
    "max_frame_distance": 0,
    "masking_ratio": 0.5,
    "masking": "centered",
    "clip_gradient_norm": 1.0,
    "init": "0123456789abcdef",
    "projection_width": 17,
    "samples": 9,
    "objective": tiny.objective_config("sogclr"),
    "optimizer": "lion",
    "learning_rate": 2e-3,
    "weight_decay": 0.0,
    "warmup_steps": 1,
    "schedule": "cosine",
    "precision": "bf16",
    "seed": 4,
    "freeze_encoder_steps": 1,
    "learning_rate_scale": "encoder=0.1",
}


def test_every_setting_is_tried_below():
    assert set(OTHER) == {field.name for field in fields(TrainConfig)}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_changes_the_digest(name):
    config = tiny.train_config()
    changed = replace(config, **{name: OTHER[name]})
    assert changed.digest() != config.digest()
    assert replace(changed, **{name: getattr(config, name)}).digest() == config.digest()


def test_the_digest_of_the_same_settings_never_changes():
    assert TrainConfig(encoder=tiny.encoder_config(), shards="made").digest() == "b619df79343f0501"


def test_settings_come_back_from_their_dictionary():
    config = tiny.train_config("hybrid", schedule="cosine", warmup_steps=3)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_unknown_and_missing_keys_are_named():
    values = tiny.train_config().to_dict()
    with pytest.raises(InvalidInput, match="TrainConfig: unknown key 'momentum'"):
        TrainConfig.from_dict({**values, "momentum": 0.9})
    del values["seed"], values["batch"]
    with pytest.raises(InvalidInput, match="TrainConfig has missing keys: batch, seed"):
        TrainConfig.from_dict(values)


def test_settings_of_before_the_last_ones_were_added_are_read_as_what_was_done_then():
    config = tiny.train_config()
    before = {key: value for key, value in config.to_dict().items() if key not in ADDED}
    assert TrainConfig.from_dict(before) == config
    assert TrainConfig.from_dict(before).digest() == config.digest()


def test_unknown_keys_of_the_encoder_are_named():
    values = tiny.train_config().to_dict()
    values["encoder"]["rope"] = True
    with pytest.raises(InvalidInput, match=r"unknown key 'encoder\.rope'"):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"batch": 1}, r"--batch must be at least 2 \(got 1\)"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"projection_width": 0}, "--projection-width must be at least 1"),
        ({"warmup_steps": -1}, "--warmup-steps must be at least 0"),
        ({"learning_rate": -1e-3}, r"--learning-rate must be more than 0 \(got -0\.001\)"),
        ({"learning_rate": float("inf")}, "--learning-rate must be a finite number"),
        ({"weight_decay": -1.0}, "--weight-decay must be at least 0"),
        ({"masking_ratio": 1.0}, "--masking-ratio must be at least 0 and less than 1"),
        ({"masking_ratio": -0.1}, "--masking-ratio must be at least 0"),
        ({"masking_ratio": float("nan")}, "--masking-ratio must be a finite number"),
        ({"masking": "checkered"}, "masking policy 'checkered' is unknown; use one of uniform, centered"),
        ({"clip_gradient_norm": 0.0}, "--clip-gradient-norm must be more than 0"),
        ({"clip_gradient_norm": float("nan")}, "--clip-gradient-norm must be a finite number"),
        ({"seed": -1}, "--seed must be at least 0 and less than 9223372036854775808"),
        ({"seed": 2**63}, "got 9223372036854775808"),
        ({"precision": "fp16"}, r"--precision must be one of fp32, bf16 \(got 'fp16'\)"),
        ({"optimizer": "adagrad"}, "--optimizer must be one of adam, adamw, lamb, lion, sgd"),
        ({"schedule": "linear"}, "--schedule must be one of constant, cosine"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_was_given_and_what_is_needed(changed, told):
    with pytest.raises(InvalidInput, match=told):
        tiny.train_config(**changed)


def test_the_fastest_precision_is_one_that_a_run_can_have():
    assert fastest_precision() in get_args(Precision)


@pytest.mark.parametrize(("amx", "avx"), [(True, False), (False, True), (False, False)])
def test_a_cpu_computes_in_bfloat16_only_if_it_has_products_for_it(monkeypatch, amx, avx):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert fastest_precision() == ("bf16" if amx or avx else "fp32")
    assert fastest_device() == torch.device("cpu")
