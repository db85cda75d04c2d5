"""Provenance: the commands reproduce the run, hours are training time, and digests are those of what was probed."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
import tiny
from html_elements import section_text

from model.encoder.config import preset as encoder
from model.objectives.config import preset as objective
from model.page import provenance
from model.page.run_results import PAPER
from model.training.config import TrainSettings
from model.training.train import resolve
from stores.command_line import parse
from stores.mel_spec import MelSpec

CONFIGS = {
    "defaults": {},
    "another batch": {"batch": 512, "steps": 300, "learning_rate": 2e-3, "warmup_steps": 30, "schedule": "cosine"},
    "bf16": {"precision": "bf16", "seed": 7, "clip_gradient_norm": 1.0, "max_frame_distance": 96},
    "another optimizer": {"optimizer": "lamb", "weight_decay": 0.1, "masking_ratio": 0.75, "projection_width": 64},
    "infonce, warmer": {"objective": replace(objective("infonce"), temperature=0.2)},
    "isogclr": {"objective": replace(objective("isogclr"), rho=0.5, gamma=0.8)},
    "fastclip": {"objective": replace(objective("fastclip-v3"), gamma_decay_epochs=3)},
    "mae": {"objective": objective("mae")},
    "another scale": {"encoder": replace(encoder("myna-base"), name="myna-base-log1p", input_scale="log1p")},
}


class _Sources:
    digest, mel_settings, samples, clips, n_mels = "made", {}, 140, 140, 128


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_of_a_run_gives_its_settings(name):
    settings = {"encoder": encoder("tiny"), "batch": 4096, "steps": 100_000, "seed": 0, **CONFIGS[name]}
    config = tiny.train_config(**settings)
    words = shlex.split(provenance.train_command("first", "made", config))
    assert words[:3] == ["python", "-m", "model.train"]
    stated = parse(TrainSettings, words[3:], "model.train")
    assert (stated.store, stated.name) == (("stores/made.zarr",), "first")
    assert resolve(stated, _Sources()) == config


def test_pauses_are_not_training_time():
    rows = [{"step": i, "unix_seconds": time} for i, time in enumerate((0.0, 60.0, 90_000.0, 90_030.0))]
    assert provenance.training_seconds([*rows, {"step": 9}]) == 90
    assert provenance.training_seconds([{"step": 0}]) == 0
    seldom = [{"step": i, "unix_seconds": 1_200.0 * i} for i in range(4)]
    assert provenance.training_seconds(seldom) == 3_600


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (1.26, "1.3 s"), (90, "1.5 min"), (3600, "1.0 h"), (90_000, "25.0 h")]
)
def test_durations_are_in_seconds_minutes_or_hours(seconds, text):
    assert provenance.duration(seconds) == text


def test_the_section_has_digests_commands_and_settings(results):
    text = section_text(provenance.section(results))
    for word in ("eager engine on cpu", "torch 2", "3.5 min", results.config.digest(), "weights", "learning_rate"):
        assert word in text
    for command in provenance.commands(results):
        assert command in text


def test_the_commands_lead_from_the_store_to_this_page(results):
    commands = provenance.commands(results)
    assert commands[:4] == [f"python -m pipeline.ingest {name}" for name in PAPER]
    assert commands[4].startswith("python -m model.train --store stores/made.zarr --name first")
    assert commands[5] == "python -m model.extract magnatagatune --checkpoint runs/first/encoder.safetensors"
    assert commands[6] == "python -m model.probe magnatagatune --checkpoint runs/first/encoder.safetensors"
    assert commands[-1] == "python -m model.report magnatagatune gtzan giantsteps emomusic made --run first"


def test_the_commands_state_the_mel_of_the_run(results):
    spec = replace(MelSpec(), hop_samples=160, fmin_hz=60.0)
    mel = {"mel_spec": spec.to_dict(), "preprocessing": {"resampler": "torchaudio sinc_interp_hann"}}
    commands = provenance.commands(replace(results, config=replace(results.config, mel=mel)))
    flags = "--hop-samples 160 --fmin-hz 60 --resampler torchaudio"
    assert commands[:4] == [f"python -m pipeline.ingest {name} {flags}" for name in PAPER]


def test_the_commands_state_the_engine_that_was_used(results):
    store = results.features["made"]
    recorded = {**store.provenance, "engine": {"name": "onnx", "versions": {}}, "precision": "fp32"}
    other = replace(results, features={**results.features, "made": replace(store, provenance=recorded)})
    (command,) = [line for line in provenance.commands(other) if "model.extract made" in line]
    assert command.endswith(" --engine onnx --precision fp32")


def test_the_commands_state_the_grid_that_was_used(results):
    full = replace(results, scores=tuple(replace(scores, grid="full") for scores in results.scores))
    assert provenance.commands(full)[6].endswith("--grid full")


def test_the_page_says_what_the_commands_lack(results):
    text = section_text(provenance.section(results))
    assert "How made was ingested is not recorded here" in text
    assert "add --check-store and --check-task" in text
    complete = replace(results, metrics=[{"step": 0, "loss": 1.0}], scores=results.scores[:1], store="gtzan")
    text = section_text(provenance.section(complete))
    assert "not recorded here" not in text
    assert "--check-store" not in text


@pytest.mark.parametrize(
    ("clips", "text"),
    [
        (None, "60 clips in its stores, including those without a mel"),
        (60, "60 clips"),
        (57, "57 clips with a mel, of 60 in its store"),
    ],
)
def test_clips_without_a_mel_do_not_count_as_training_clips(results, clips, text):
    config = replace(results.config, samples=60)
    properties = provenance.properties(replace(results, config=config, trained_clips=clips))
    assert properties["trained on"] == f"made: {text}, shards {config.shards}"
