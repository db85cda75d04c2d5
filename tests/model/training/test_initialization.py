"""--init: the encoder of another run is loaded as a whole, and an encoder that does not fit is an error."""

from __future__ import annotations

from dataclasses import replace

import published_models
import pytest
import tiny
import torch

from model.training import checkpoint, initialization
from model.training.learner import build_model
from model.training.loop import Run
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer


def _mel(**changed):
    return {"mel_spec": replace(MelSpec(), **changed).to_dict(), "quantizer": {}, "preprocessing": {}}


@pytest.fixture
def start(tmp_path):
    """The encoder file of a run with another seed."""
    return tiny.write_run(tmp_path / "other", tiny.train_config(seed=99, mel=_mel()))


def _config_and_model(start, **changed):
    """Return the settings of a run that is initialized from `start`, and its model before the initialization."""
    config = tiny.train_config(init=initialization.checkpoint_digest(start), **changed)
    return config, build_model(config)


def _is_loaded(module, tensors, prefix):
    return all(torch.equal(weight, tensors[f"{prefix}.{name}"]) for name, weight in module.state_dict().items())


def _copied_weights(module):
    return {name: weight.clone() for name, weight in module.state_dict().items()}


def test_encoder_and_head_are_loaded(start):
    config, model = _config_and_model(start)
    message = initialization.initialize_from(start, model, config)
    tensors = checkpoint.load(start).tensors
    assert _is_loaded(model.encoder, tensors, "encoder")
    assert _is_loaded(model.linear_head, tensors, "linear_head")
    outcomes = "encoder loaded, linear_head loaded, optimizer moments start at 0"
    assert message == f"initialized from {start} after 8 steps: {outcomes}"


def test_a_head_of_another_width_is_initialized_randomly(start):
    config, model = _config_and_model(start, projection_width=9)
    random_weights = _copied_weights(model.linear_head)
    message = initialization.initialize_from(start, model, config)
    assert "linear_head initialized randomly (the checkpoint has none that fits)" in message
    assert _is_loaded(model.encoder, checkpoint.load(start).tensors, "encoder")
    assert all(torch.equal(weight, random_weights[name]) for name, weight in model.linear_head.state_dict().items())


def test_encoders_of_contrastive_models_and_autoencoders_are_interchangeable(tmp_path, start):
    config, autoencoder = _config_and_model(start, objective=tiny.objective_config("mae"))
    message = initialization.initialize_from(start, autoencoder, config)
    assert "encoder loaded, decoder initialized randomly" in message
    path = tmp_path / "mae.safetensors"
    checkpoint.save(path, autoencoder, None, config, 3)
    config, contrastive = _config_and_model(path)
    message = initialization.initialize_from(path, contrastive, config)
    assert "encoder loaded, linear_head initialized randomly" in message
    config, second = _config_and_model(path, objective=tiny.objective_config("mae"), seed=4)
    assert "encoder loaded, decoder loaded" in initialization.initialize_from(path, second, config)
    assert _is_loaded(second.decoder, checkpoint.load(path).tensors, "decoder")


@pytest.mark.parametrize(
    ("encoder", "differences"),
    [
        (tiny.encoder_config(width=64), "width: 32 in the checkpoint, 64 in this run"),
        (tiny.encoder_config("hybrid"), "patches: 'vertical' in the checkpoint, 'hybrid' in this run"),
        (tiny.encoder_config(input_scale="log"), "input_scale: 'log1p' in the checkpoint, 'log' in this run"),
        (
            tiny.encoder_config(heads=4, head_width=8),
            "heads: 2 in the checkpoint, 4 in this run\nhead_width: 16 in the checkpoint, 8 in this run",
        ),
    ],
)
def test_an_encoder_that_does_not_fit_is_an_error_that_lists_differences(start, encoder, differences):
    config, model = _config_and_model(start, encoder=encoder)
    before = _copied_weights(model)
    with pytest.raises(InvalidInput, match=f"does not fit; choose the --preset(?s:.*){differences}"):
        initialization.initialize_from(start, model, config)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_names_and_window_lengths_of_encoders_may_differ(start):
    config, model = _config_and_model(start, encoder=tiny.encoder_config(name="mine", window_frames=98))
    assert "encoder loaded" in initialization.initialize_from(start, model, config)


def test_a_checkpoint_of_another_mel_definition_is_an_error(start):
    config, model = _config_and_model(start, mel=_mel(hop_samples=256))
    with pytest.raises(DigestMismatch, match="made with another mel than the store of this run"):
        initialization.initialize_from(start, model, config)


def test_a_missing_checkpoint_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no checkpoint at .*none\.safetensors; give --init"):
        initialization.checkpoint_digest(tmp_path / "none.safetensors")


def test_the_digest_covers_the_bytes_of_the_file(start):
    before = initialization.checkpoint_digest(start)
    assert len(before) == 16
    start.write_bytes(start.read_bytes()[:-1])
    assert initialization.checkpoint_digest(start) != before


def test_a_file_that_the_settings_do_not_name_is_an_error(tmp_path, start):
    config, model = _config_and_model(start)
    other = tiny.write_run(tmp_path / "third", tiny.train_config(seed=5))
    for path in (other, None):
        with pytest.raises(InvalidInput, match=rf"the digest {config.init} \(got {path}\)"):
            initialization.initialize_from(path, model, config)


def test_a_resumed_run_does_not_need_the_initial_checkpoint(tmp_path, start):
    config = tiny.train_config(init=initialization.checkpoint_digest(start), steps=2)
    (tmp_path / "run").mkdir()
    run = Run(tmp_path / "run", config, Quantizer(), torch.device("cpu"), start)
    assert run.initialization_message.startswith(f"initialized from {start}")
    assert _is_loaded(run.model.encoder, checkpoint.load(start).tensors, "encoder")
    checkpoint.save(checkpoint.path_of(run.folder, 0), run.model, _state_after_a_step(run), config, 0)
    start.unlink()
    resumed = Run(tmp_path / "run", config, Quantizer(), torch.device("cpu"), start)
    assert resumed.initialization_message == ""


def _state_after_a_step(run):
    for weight in run.model.parameters():
        weight.grad = torch.zeros_like(weight)
    run.optimizer.step()
    return checkpoint.TrainingState(run.optimizer, run.objective)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_published_model_of_the_hub_is_trained_on(tmp_path, weights):
    published = published_models.write(tmp_path / "myna-vertical", "myna-vertical", weights)
    encoder = replace(published.config, window_frames=96)
    config, model = _config_and_model(tmp_path / "myna-vertical", encoder=encoder)
    message = initialization.initialize_from(tmp_path / "myna-vertical", model, config)
    assert "encoder loaded, linear_head initialized randomly" in message
    assert all(torch.equal(weight, model.encoder.state_dict()[name]) for name, weight in published.state_dict().items())


def test_a_published_file_takes_its_patches_from_the_settings(tmp_path):
    published = published_models.encoder("myna-vertical")
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    config, model = _config_and_model(tmp_path / "weights.pth", encoder=replace(published.config, window_frames=96))
    assert "encoder loaded" in initialization.initialize_from(tmp_path / "weights.pth", model, config)
