"""Checkpoints: what is saved comes back bit for bit, is never a pickle, and nothing else is taken for one."""

from __future__ import annotations

import json
import os
import pickle

import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import model
from model.training import checkpoint, optimizer
from model.training.config import TrainConfig
from model.training.learner import ModelWithHead
from stores import locations
from stores.errors import CorruptArtifact, MissingArtifact


def _trained(steps=2, **changed):
    """A learner and its progress after some steps."""
    config = tiny.train_config(**changed)
    learner = ModelWithHead(config)
    step = tiny.training_step(config, learner)
    progress = checkpoint.TrainingState(optimizer.build(learner, config), step.objective)
    for number in range(steps):
        progress.optimizer.zero_grad()
        step.backward(tiny.batch(seed=number), number)
        progress.optimizer.step()
    return learner, progress, config


@pytest.fixture
def saved(tmp_path):
    learner, progress, config = _trained()
    path = checkpoint.path_of(tmp_path, 2)
    checkpoint.save(path, learner, progress, config, 2)
    return path


def _rewrite(path, change):
    """The same file with tensors and header changed by `change(tensors, header)`."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    change(tensors, header)
    save_file(tensors, path, metadata=header)


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_weights_moments_settings_and_step_come_back_bit_for_bit(tmp_path, patches):
    learner, progress, config = _trained(patches=patches)
    checkpoint.save(tmp_path / "c.safetensors", learner, progress, config, 2)
    found = checkpoint.load(tmp_path / "c.safetensors")
    assert (found.config, found.step) == (config, 2)
    other = ModelWithHead(tiny.train_config(patches, seed=99))
    fresh = checkpoint.TrainingState(optimizer.build(other, config), tiny.training_step(config, other).objective)
    checkpoint.restore(found, other, fresh)
    for (name, ours), theirs in zip(learner.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        for key, value in progress.optimizer.state[ours].items():
            restored = fresh.optimizer.state[theirs][key]
            assert torch.equal(value, restored), (name, key)
            assert (value.dtype, value.device) == (restored.dtype, restored.device)


@pytest.mark.parametrize("name", ["isogclr", "fastclip-v3"])
def test_what_is_remembered_of_clips_comes_back_bit_for_bit(tmp_path, name):
    learner, progress, config = _trained(patches="hybrid", objective=tiny.objective_config(name))
    checkpoint.save(tmp_path / "c.safetensors", learner, progress, config, 2)
    fresh = tiny.training_step(config).objective
    found = checkpoint.load(tmp_path / "c.safetensors")
    checkpoint.restore(found, learner, checkpoint.TrainingState(progress.optimizer, fresh))
    state = progress.objective.state_dict()
    assert state["log_u"].isfinite().any()
    assert {"log_u", "temperature.log_value", "temperature.visits"} <= set(state)
    for key, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, state[key]), key
        assert tensor.dtype == state[key].dtype


def test_a_state_of_other_clips_is_refused(tmp_path):
    learner, progress, config = _trained(objective=tiny.objective_config("sogclr"))
    checkpoint.save(tmp_path / "c.safetensors", learner, progress, config, 2)
    other = tiny.training_step(tiny.train_config(objective=config.objective, samples=9)).objective
    found = checkpoint.load(tmp_path / "c.safetensors")
    with pytest.raises(CorruptArtifact, match=r"(?s)does not fit.*size mismatch for log_u"):
        checkpoint.restore(found, learner, checkpoint.TrainingState(progress.optimizer, other))


def test_a_checkpoint_is_safetensors_with_json_in_its_header_and_no_pickle(saved):
    content = saved.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    assert set(header) == {"format", "step", "config", "config_digest"}
    assert header["config_digest"] == tiny.train_config().digest()
    assert TrainConfig.from_dict(json.loads(header["config"])) == tiny.train_config()
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)


def test_the_finished_file_holds_no_optimizer_and_cannot_be_continued(tmp_path):
    learner, progress, config = _trained()
    checkpoint.save(tmp_path / "e.safetensors", learner, None, config, 2)
    found = checkpoint.load(tmp_path / "e.safetensors")
    assert not [name for name in found.tensors if name.startswith("optimizer.")]
    with pytest.raises(CorruptArtifact, match=r"no optimizer\.exp_avg\.encoder\.\S+ of shape .* cannot be continued"):
        checkpoint.restore(found, learner, progress)


@pytest.mark.parametrize("content", [b"", b"\0\0\0", bytes(100), b"hello, I am no checkpoint", pickle.dumps({"a": 1})])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"c\.safetensors is not a safetensors file"):
        checkpoint.load(path)


def test_a_file_that_was_cut_off_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CorruptArtifact, match="not a safetensors file"):
        checkpoint.load(saved)


def test_safetensors_of_somebody_else_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "c.safetensors")
    with pytest.raises(CorruptArtifact, match=r"not a Myna checkpoint \(format None, needed 'myna-1'\)"):
        checkpoint.load(tmp_path / "c.safetensors")


def test_another_format_is_refused(saved):
    _rewrite(saved, lambda _, header: header.update(format="myna-2"))
    with pytest.raises(CorruptArtifact, match="'myna-2'"):
        checkpoint.load(saved)


def _without_batch(_, header):
    header["config"] = json.dumps({k: v for k, v in json.loads(header["config"]).items() if k != "batch"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda _, header: header.pop("config"), "config"),
        (lambda _, header: header.update(config="{"), "settings that this version cannot use"),
        (lambda _, header: header.update(config="[]"), "batch"),
        (lambda _, header: header.update(config='{"encoder": 5}'), "batch"),
        (lambda _, header: header.update(step="many"), "many"),
        (_without_batch, r"\['batch'\]"),
    ],
)
def test_settings_that_cannot_be_used_are_corruption_that_names_the_file(saved, change, named):
    _rewrite(saved, change)
    with pytest.raises(CorruptArtifact, match=rf"checkpoint-00000002\.safetensors.*{named}"):
        checkpoint.load(saved)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(MissingArtifact, match=r"python -m model\.train"):
        checkpoint.load(tmp_path / "none.safetensors")


NORM = "transformer.norm.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors, _: tensors.pop(f"encoder.{NORM}"), rf'Missing key.*"{NORM}"'),
        (lambda tensors, _: tensors.update({"encoder.more": torch.zeros(1)}), r'Unexpected key.*"more"'),
        (lambda tensors, _: tensors.update({f"encoder.{NORM}": torch.zeros(5)}), rf"size mismatch for {NORM}"),
    ],
)
def test_weights_that_do_not_fit_are_named(saved, change, named):
    _rewrite(saved, change)
    with pytest.raises(CorruptArtifact, match=rf"(?s)does not fit.*{named}"):
        model.load_encoder(saved)


@pytest.mark.parametrize("moment", ["exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize(
    "change", [lambda tensors, name: tensors.pop(name), lambda t, n: t.update({n: torch.zeros(3)})]
)
def test_moments_that_are_missing_or_do_not_fit_are_named(saved, moment, change):
    name = f"optimizer.{moment}.encoder.{NORM}"
    _rewrite(saved, lambda tensors, _: change(tensors, name))
    learner, progress, _ = _trained(0)
    with pytest.raises(CorruptArtifact, match=rf"no {name} of shape \[32\]"):
        checkpoint.restore(checkpoint.load(saved), learner, progress)


def test_an_interrupted_save_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()
    learner, progress, config = _trained(3)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            checkpoint.save(saved, learner, progress, config, 3)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_only_the_last_training_checkpoints_are_kept(tmp_path):
    for step in (8, 1_000, 20, 99_999_999):
        checkpoint.path_of(tmp_path, step).touch()
    (tmp_path / locations.ENCODER_FILE).touch()
    assert checkpoint.newest(tmp_path) == checkpoint.path_of(tmp_path, 99_999_999)
    checkpoint.remove_old(tmp_path, 2)
    kept = [checkpoint.path_of(tmp_path, step) for step in (1_000, 99_999_999)]
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / locations.ENCODER_FILE])


def test_an_empty_folder_has_no_newest_checkpoint(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    checkpoint.remove_old(tmp_path, 2)


def test_the_run_that_finished_last_is_found_by_time_not_by_name(tmp_path):
    paths = {name: tiny.write_run(tmp_path / name) for name in ("a", "z", "m")}
    (tmp_path / "unfinished").mkdir()
    for seconds, name in enumerate(("z", "a", "m")):
        os.utime(paths[name], (seconds, seconds))
    assert locations.latest_finished_encoder(tmp_path) == paths["m"]


def test_where_no_run_is_finished_the_command_is_named(tmp_path):
    with pytest.raises(MissingArtifact, match=r"no finished run under .*model\.train"):
        locations.latest_finished_encoder(tmp_path)


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_a_loaded_encoder_gives_what_the_trained_one_gives(tmp_path, patches):
    learner, progress, config = _trained(patches=patches)
    checkpoint.save(tmp_path / "c.safetensors", learner, progress, config, 2)
    checkpoint.save(tmp_path / "e.safetensors", learner, None, config, 2)
    mel = torch.rand(3, 128, 96)
    expected = learner.encoder(mel)
    for path in (tmp_path / "c.safetensors", str(tmp_path / "e.safetensors")):
        encoder = model.load_encoder(path)
        assert not encoder.training
        assert torch.equal(encoder(mel), expected)
    assert expected.shape == (3, config.encoder.embedding_width)
