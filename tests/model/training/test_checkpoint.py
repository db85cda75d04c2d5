"""Checkpoints are restored bit for bit, are never pickles, and other files are errors."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from model import load_encoder
from model.training import checkpoint, learner, optimizer
from model.training.config import TrainConfig
from model.training.learner import ModelWithHead, build_model
from stores import locations
from stores.errors import CorruptArtifact, MissingArtifact

ROOT = Path(checkpoint.__file__).parents[2]


def _train(steps=2, **changed):
    """Return a model, its training state and its settings after some steps."""
    config = tiny.train_config(**changed)
    model = ModelWithHead(config)
    step = tiny.training_step(config, model)
    state = checkpoint.TrainingState(optimizer.build(model, config), step.objective)
    for number in range(steps):
        state.optimizer.zero_grad()
        step.backward(tiny.batch(seed=number), number)
        state.optimizer.step()
    return model, state, config


@pytest.fixture
def saved(tmp_path):
    model, state, config = _train()
    path = checkpoint.path_of(tmp_path, 2)
    checkpoint.save(path, model, state, config, 2)
    return path


def _rewrite(path, change):
    """Write the file again after `change(tensors, header)`."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    change(tensors, header)
    save_file(tensors, path, metadata=header)


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_weights_moments_settings_and_step_are_restored_exactly(tmp_path, patches):
    model, state, config = _train(patches=patches)
    checkpoint.save(tmp_path / "c.safetensors", model, state, config, 2)
    loaded = checkpoint.load(tmp_path / "c.safetensors")
    assert (loaded.config, loaded.step) == (config, 2)
    other = ModelWithHead(tiny.train_config(patches, seed=99))
    new_state = checkpoint.TrainingState(optimizer.build(other, config), tiny.training_step(config, other).objective)
    checkpoint.restore(loaded, other, new_state)
    for (name, weight), restored_weight in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, restored_weight), name
        for key, value in state.optimizer.state[weight].items():
            restored = new_state.optimizer.state[restored_weight][key]
            assert torch.equal(value, restored), (name, key)
            assert (value.dtype, value.device) == (restored.dtype, restored.device)


@pytest.mark.parametrize("name", ["isogclr", "fastclip-v3"])
def test_the_memory_of_clips_is_restored_exactly(tmp_path, name):
    model, state, config = _train(patches="hybrid", objective=tiny.objective_config(name))
    checkpoint.save(tmp_path / "c.safetensors", model, state, config, 2)
    new_objective = tiny.training_step(config).objective
    loaded = checkpoint.load(tmp_path / "c.safetensors")
    checkpoint.restore(loaded, model, checkpoint.TrainingState(state.optimizer, new_objective))
    memory = state.objective.state_dict()
    assert memory["log_u"].isfinite().any()
    assert {"log_u", "temperature.log_value", "temperature.visits"} <= set(memory)
    for key, tensor in new_objective.state_dict().items():
        assert torch.equal(tensor, memory[key]), key
        assert tensor.dtype == memory[key].dtype


def test_a_memory_of_another_number_of_clips_is_an_error(tmp_path):
    model, state, config = _train(objective=tiny.objective_config("sogclr"))
    checkpoint.save(tmp_path / "c.safetensors", model, state, config, 2)
    other = tiny.training_step(tiny.train_config(objective=config.objective, samples=9)).objective
    loaded = checkpoint.load(tmp_path / "c.safetensors")
    with pytest.raises(CorruptArtifact, match=r"(?s)do not fit.*size mismatch for log_u"):
        checkpoint.restore(loaded, model, checkpoint.TrainingState(state.optimizer, other))


def test_a_checkpoint_is_a_safetensors_file_with_json_in_its_header(saved):
    content = saved.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    assert set(header) == {"format", "step", "config", "config_digest"}
    assert header["config_digest"] == tiny.train_config().digest()
    assert TrainConfig.from_dict(json.loads(header["config"])) == tiny.train_config()
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)


def test_a_finished_file_has_no_moments_and_cannot_be_resumed(tmp_path):
    model, state, config = _train()
    checkpoint.save(tmp_path / "e.safetensors", model, None, config, 2)
    loaded = checkpoint.load(tmp_path / "e.safetensors")
    assert not [name for name in loaded.tensors if name.startswith("optimizer.")]
    with pytest.raises(CorruptArtifact, match=r"no optimizer\.exp_avg\.encoder\.\S+ of shape .* cannot be resumed"):
        checkpoint.restore(loaded, model, state)


@pytest.mark.parametrize("content", [b"", b"\0\0\0", bytes(100), b"hello, I am no checkpoint", pickle.dumps({"a": 1})])
def test_garbage_is_an_error(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"c\.safetensors is not a safetensors file"):
        checkpoint.load(path)


def test_a_truncated_file_is_an_error(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CorruptArtifact, match="not a safetensors file"):
        checkpoint.load(saved)


def test_safetensors_files_of_other_programs_are_errors(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "c.safetensors")
    with pytest.raises(CorruptArtifact, match=r"not a Myna checkpoint \(format None, needed 'myna-1'\)"):
        checkpoint.load(tmp_path / "c.safetensors")


def test_another_format_version_is_an_error(saved):
    _rewrite(saved, lambda _, header: header.update(format="myna-2"))
    with pytest.raises(CorruptArtifact, match="'myna-2'"):
        checkpoint.load(saved)


def _remove_batch(_, header):
    header["config"] = json.dumps({k: v for k, v in json.loads(header["config"]).items() if k != "batch"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda _, header: header.pop("config"), "config"),
        (lambda _, header: header.update(config="{"), "settings that this version cannot use"),
        (lambda _, header: header.update(config="[]"), r"TrainConfig is \[\], and an object is needed"),
        (lambda _, header: header.update(config='{"encoder": 5}'), "batch"),
        (lambda _, header: header.update(step="many"), "many"),
        (_remove_batch, "missing keys: batch$"),
    ],
)
def test_unusable_settings_are_an_error_that_names_the_file(saved, change, named):
    _rewrite(saved, change)
    with pytest.raises(CorruptArtifact, match=rf"checkpoint-00000002\.safetensors.*{named}"):
        checkpoint.load(saved)


def test_a_missing_file_is_an_error_that_names_the_command(tmp_path):
    with pytest.raises(MissingArtifact, match=r"python -m model\.train"):
        checkpoint.load(tmp_path / "none.safetensors")


NORM = "transformer.norm.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors, _: tensors.pop(f"encoder.{NORM}"), rf"missing tensors: encoder.{NORM}"),
        (lambda tensors, _: tensors.update({"encoder.more": torch.zeros(1)}), r"unexpected tensors: encoder.more"),
        (lambda tensors, _: tensors.update({f"encoder.{NORM}": torch.zeros(5)}), rf"{NORM} \[5\], expected \[32\]"),
        (lambda tensors, _: tensors[f"encoder.{NORM}"].fill_(torch.nan), rf"NaN or infinite: encoder.{NORM}"),
        (lambda tensors, _: tensors[f"optimizer.exp_avg.encoder.{NORM}"].fill_(torch.inf), "NaN or infinite"),
        (lambda tensors, _: tensors.update({f"encoder.{NORM}": torch.zeros(32, dtype=torch.int32)}), "is I32"),
        (lambda tensors, _: tensors.update({f"encoder.{NORM}": torch.zeros(32, dtype=torch.complex64)}), "is C64"),
        (lambda _, header: header.update(step="-3"), "saved after -3 steps"),
        (lambda _, header: header.update(step="9"), "saved after 9 steps, but its run has 0 to 8"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_names_them(saved, change, named):
    _rewrite(saved, change)
    with pytest.raises(CorruptArtifact, match=named):
        load_encoder(saved)


@pytest.mark.parametrize(
    "absurd",
    [
        {"width": 1 << 20},
        {"depth": 10**6},
        {"depth": 1000},
        {"mlp_width": 1 << 40},
        {"heads": 1 << 40},
        {"window_frames": 1 << 40},
        {"n_mels": 1 << 40},
    ],
)
def test_absurd_sizes_are_rejected_before_a_model_is_built(saved, absurd):
    def change(_, header):
        config = json.loads(header["config"])
        header["config"] = json.dumps({**config, "encoder": {**config["encoder"], **absurd}})

    _rewrite(saved, change)
    start = time.perf_counter()
    with pytest.raises(CorruptArtifact, match=r"checkpoint-00000002\.safetensors"):
        load_encoder(saved)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("objective", ["infonce", "mae"])
@pytest.mark.parametrize("patches", ["square", "vertical", "hybrid"])
def test_the_expected_shapes_are_those_of_the_model(objective, patches):
    encoder = tiny.encoder_config(patches, depth=3, head_width=8, window_frames=192)
    config = tiny.train_config(encoder=encoder, objective=tiny.objective_config(objective))
    shapes = {name: tuple(tensor.shape) for name, tensor in build_model(config).state_dict().items()}
    assert learner.shapes(config) == shapes


@pytest.mark.slow
def test_the_same_content_gives_the_same_bytes_in_every_process(saved, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])}
    copies = [tmp_path / "copies" / f"{number}.safetensors" for number in range(4)]
    script = f"""
import sys, torch, tiny
from pathlib import Path
from model.training import checkpoint
loaded = checkpoint.load(Path({str(saved)!r}))
weights = {{n: t for n, t in loaded.tensors.items() if not n.startswith(("optimizer.", "objective."))}}
model = checkpoint.learner.build_model(loaded.config)
model.load_state_dict(weights)
for path in sys.argv[1:]:
    checkpoint.save(Path(path), model, None, loaded.config, 2, {{"by": "loss", "score": "1.5"}})
"""
    subprocess.run([sys.executable, "-c", script, *map(str, copies[:2])], env=environment, check=True)
    model = build_model(tiny.train_config())
    loaded = checkpoint.load(saved)
    model.load_state_dict({name: loaded.tensors[name] for name in model.state_dict()})
    for path in copies[2:]:
        checkpoint.save(path, model, None, loaded.config, 2, {"score": "1.5", "by": "loss"})
    assert len({path.read_bytes() for path in copies}) == 1
    assert list(checkpoint.read_header(copies[0])) == sorted(checkpoint.read_header(copies[0]))
    assert load_file(copies[0]).keys() == model.state_dict().keys()


@pytest.mark.parametrize("moment", ["exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize(
    "change", [lambda tensors, name: tensors.pop(name), lambda t, n: t.update({n: torch.zeros(3)})]
)
def test_moments_that_do_not_fit_are_an_error_that_names_them(saved, moment, change):
    name = f"optimizer.{moment}.encoder.{NORM}"
    _rewrite(saved, lambda tensors, _: change(tensors, name))
    model, state, _ = _train(0)
    with pytest.raises(CorruptArtifact, match=rf"no {name} of shape \[32\]"):
        checkpoint.restore(checkpoint.load(saved), model, state)


def test_an_interrupted_save_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()
    model, state, config = _train(3)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            checkpoint.save(saved, model, state, config, 3)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_only_the_newest_training_checkpoints_are_kept(tmp_path):
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


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_a_loaded_encoder_gives_the_embeddings_of_the_trained_one(tmp_path, patches):
    model, state, config = _train(patches=patches)
    checkpoint.save(tmp_path / "c.safetensors", model, state, config, 2)
    checkpoint.save(tmp_path / "e.safetensors", model, None, config, 2)
    mel = torch.rand(3, 128, 96)
    expected = model.encoder(mel)
    for path in (tmp_path / "c.safetensors", str(tmp_path / "e.safetensors")):
        encoder = load_encoder(path)
        assert not encoder.training
        assert torch.equal(encoder(mel), expected)
    assert expected.shape == (3, config.encoder.embedding_width)
