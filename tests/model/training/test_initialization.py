"""--init: weights of another run are taken whole, and what does not fit is refused by its name."""

from __future__ import annotations

from dataclasses import replace

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
    """The encoder of a run with another seed."""
    return tiny.write_run(tmp_path / "other", tiny.train_config(seed=99, mel=_mel()))


def _continuing(start, **changed):
    config = tiny.train_config(init=initialization.checkpoint_digest(start), **changed)
    return config, build_model(config)


def _same(module, tensors, prefix):
    return all(torch.equal(one, tensors[f"{prefix}.{name}"]) for name, one in module.state_dict().items())


def test_encoder_and_head_are_taken(start):
    config, learner = _continuing(start)
    told = initialization.initialize_from(start, learner, config)
    tensors = checkpoint.load(start).tensors
    assert _same(learner.encoder, tensors, "encoder")
    assert _same(learner.linear_head, tensors, "linear_head")
    assert told == f"began with {start} after 8 steps: encoder taken, linear_head taken, moments start at 0"


def test_a_head_of_another_width_starts_as_drawn(start):
    config, learner = _continuing(start, projection_width=9)
    drawn = {name: one.clone() for name, one in learner.linear_head.state_dict().items()}
    assert "linear_head drawn (the checkpoint has none that fits)" in initialization.initialize_from(
        start, learner, config
    )
    assert _same(learner.encoder, checkpoint.load(start).tensors, "encoder")
    assert all(torch.equal(one, drawn[name]) for name, one in learner.linear_head.state_dict().items())


def test_an_autoencoder_can_begin_with_a_contrastive_encoder_and_the_other_way(tmp_path, start):
    config, autoencoder = _continuing(start, objective=tiny.objective_config("mae"))
    assert "encoder taken, decoder drawn" in initialization.initialize_from(start, autoencoder, config)
    path = tmp_path / "mae.safetensors"
    checkpoint.save(path, autoencoder, None, config, 3)
    config, learner = _continuing(path)
    assert "encoder taken, linear_head drawn" in initialization.initialize_from(path, learner, config)
    config, again = _continuing(path, objective=tiny.objective_config("mae"), seed=4)
    assert "encoder taken, decoder taken" in initialization.initialize_from(path, again, config)
    assert _same(again.decoder, checkpoint.load(path).tensors, "decoder")


@pytest.mark.parametrize(
    ("encoder", "named"),
    [
        (tiny.encoder_config(width=64), "width: 32 there, 64 here"),
        (tiny.encoder_config("hybrid"), "patches: 'vertical' there, 'hybrid' here"),
        (tiny.encoder_config(input_scale="log"), "input_scale: 'log1p' there, 'log' here"),
        (tiny.encoder_config(heads=4, head_width=8), "heads: 2 there, 4 here\nhead_width: 16 there, 8 here"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_with_what_differs(start, encoder, named):
    config, learner = _continuing(start, encoder=encoder)
    before = {name: one.clone() for name, one in learner.state_dict().items()}
    with pytest.raises(InvalidInput, match=f"does not fit; choose the --preset(?s:.*){named}"):
        initialization.initialize_from(start, learner, config)
    assert all(torch.equal(one, before[name]) for name, one in learner.state_dict().items())


def test_names_and_lengths_of_windows_may_differ(start):
    config, learner = _continuing(start, encoder=tiny.encoder_config(name="mine", window_frames=98))
    assert "encoder taken" in initialization.initialize_from(start, learner, config)


def test_a_mel_of_another_definition_is_refused(start):
    config, learner = _continuing(start, mel=_mel(hop_samples=256))
    with pytest.raises(DigestMismatch, match="made with mel"):
        initialization.initialize_from(start, learner, config)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no checkpoint at .*none\.safetensors to begin with"):
        initialization.checkpoint_digest(tmp_path / "none.safetensors")


def test_the_digest_is_of_the_bytes(start):
    before = initialization.checkpoint_digest(start)
    assert len(before) == 16
    start.write_bytes(start.read_bytes()[:-1])
    assert initialization.checkpoint_digest(start) != before


def test_another_file_than_the_settings_name_is_refused(tmp_path, start):
    config, learner = _continuing(start)
    other = tiny.write_run(tmp_path / "third", tiny.train_config(seed=5))
    for path in (other, None):
        with pytest.raises(InvalidInput, match=f"begins with the checkpoint of digest {config.init}, not"):
            initialization.initialize_from(path, learner, config)


def test_a_run_begins_with_it_once_and_goes_on_from_its_own_checkpoint(tmp_path, start):
    config = tiny.train_config(init=initialization.checkpoint_digest(start), steps=2)
    (tmp_path / "run").mkdir()
    run = Run(tmp_path / "run", config, Quantizer(), torch.device("cpu"), start)
    assert run.taken.startswith(f"began with {start}")
    assert _same(run.learner.encoder, checkpoint.load(start).tensors, "encoder")
    checkpoint.save(checkpoint.path_of(run.folder, 0), run.learner, _progress(run), config, 0)
    start.unlink()  # not needed any more
    again = Run(tmp_path / "run", config, Quantizer(), torch.device("cpu"), start)
    assert again.taken == ""


def _progress(run):
    for weight in run.learner.parameters():
        weight.grad = torch.zeros_like(weight)
    run.optimizer.step()
    return checkpoint.TrainingState(run.optimizer, run.objective)
