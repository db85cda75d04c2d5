"""The mel specification."""

from __future__ import annotations

import dataclasses

import pytest

from stores.errors import CorruptArtifact, InvalidInput
from stores.mel_spec import MelSpec


def test_the_defaults_are_those_of_the_paper():
    spec = MelSpec()
    assert (spec.sample_rate_hz, spec.n_fft, spec.hop_samples, spec.n_mels) == (16_000, 2048, 512, 128)
    assert spec.frames_for(50_000) == 98


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (511, 1), (512, 2), (160_000, 313)])
def test_there_is_one_frame_per_hop_and_one_more(samples, frames):
    assert MelSpec().frames_for(samples) == frames


def test_a_frame_lasts_a_hop():
    assert MelSpec().seconds_for(125) == 4.0
    assert MelSpec().seconds_for(0) == 0.0


def test_reflection_needs_more_than_half_a_window():
    assert MelSpec().min_samples == 1025


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate_hz": 0},
        {"n_fft": -2},
        {"n_fft": 2047},
        {"hop_samples": 0},
        {"n_mels": 0},
        {"hop_samples": 2049},
        {"fmin_hz": -1.0},
        {"fmin_hz": 8000.0},
        {"fmax_hz": 8001.0},
        {"fmax_hz": float("nan")},
    ],
)
def test_impossible_settings_are_an_error(change):
    with pytest.raises(InvalidInput, match="MelSpec"):
        MelSpec(**change)


def test_settings_can_be_converted_to_json_and_back():
    spec = MelSpec(hop_samples=160, fmin_hz=20.0)
    assert MelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("settings", [{}, {"n_fft": 2048}, {**MelSpec().to_dict(), "log": True}, None, [1]])
def test_other_keys_are_an_error(settings):
    with pytest.raises(CorruptArtifact, match=r"mel settings"):
        MelSpec.from_dict(settings)


def test_every_setting_changes_the_digest():
    changes = {
        "sample_rate_hz": 22_050,
        "n_fft": 1024,
        "hop_samples": 256,
        "n_mels": 64,
        "fmin_hz": 1.0,
        "fmax_hz": 7e3,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(MelSpec)}
    digests = {dataclasses.replace(MelSpec(), **{name: value}).digest() for name, value in changes.items()}
    assert len(digests | {MelSpec().digest()}) == len(changes) + 1


def test_the_digest_of_the_defaults_never_changes():
    assert MelSpec().digest() == DEFAULT_DIGEST


# Stores and checkpoints contain this digest. If the test fails, they can no longer be read.
DEFAULT_DIGEST = "1aab679e9b435b8b"
