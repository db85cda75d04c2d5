"""The encoder that ships with the package is small, complete, and what is used if nothing else is named."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

import model
from model import shipped
from model.encoder import hub, hub_models
from model.inference import checkpoints
from pipeline.open_music.package_table import packages
from stores import locations
from stores.json_codec import read_json


@pytest.fixture(scope="module")
def loaded():
    return checkpoints.load(shipped.FOLDER)


def test_it_is_small(loaded):
    assert sum(weight.numel() for weight in loaded.encoder.parameters()) <= 4_000_000
    assert (shipped.FOLDER / hub.WEIGHTS).stat().st_size <= 8_000_000


def test_it_states_the_run_and_the_mel_that_it_was_trained_with(loaded):
    assert loaded.name == shipped.NAME
    assert loaded.origin["step"] == loaded.origin["run"]["steps"]
    assert set(loaded.mel) == {"mel_spec", "quantizer", "preprocessing"}


def test_its_card_lists_the_license_of_every_training_package():
    card = (shipped.FOLDER / hub.CARD).read_text("utf-8")
    for package in packages():
        assert (f"| {package.name} | {package.version} | {package.license} |" in card) == (package.role != "judge")


def test_it_is_the_default_of_python():
    samples = synthetic_audio.chords(10.0)
    embedding = model.Myna.from_pretrained().embed(samples, sample_rate_hz=synthetic_audio.RATE_HZ)
    named = model.Myna.from_pretrained(shipped.NAME).embed(samples, sample_rate_hz=synthetic_audio.RATE_HZ)
    assert embedding.shape == (384,)
    np.testing.assert_array_equal(embedding, named)


def test_it_is_the_default_of_commands_unless_a_run_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "RUNS", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert hub_models.find_checkpoint(None).path == shipped.FOLDER
    assert hub_models.find_checkpoint(shipped.NAME).path == shipped.FOLDER
    assert "ships with this package" in str(hub_models.find_checkpoint(None))


def test_its_configuration_is_read_as_every_other():
    assert read_json(shipped.FOLDER / hub.CONFIG, hub.MAX_CONFIG_BYTES)["format"] == hub.FORMAT
