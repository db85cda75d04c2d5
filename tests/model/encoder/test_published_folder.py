"""Published models as the hub has them, in every variation of their configuration and their weights."""

from __future__ import annotations

import json

import published_models
import pytest
import torch
from published_models import KINDS

import model
from model.encoder import published_folder
from model.inference import checkpoints
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

NAMES = pytest.mark.parametrize("name", KINDS)
MEL = torch.rand(2, 128, 96, generator=torch.Generator().manual_seed(0)).pow(4) * 50


def _assert_same(loaded, expected):
    assert loaded.config.patches == expected.config.patches
    with torch.inference_mode():
        torch.testing.assert_close(loaded(MEL), expected(MEL), rtol=1e-6, atol=1e-6)


@NAMES
@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("prefix", ["", "model.", "encoder.vit."])
def test_every_published_model_is_read_from_its_folder(tmp_path, name, weights, prefix):
    expected = published_models.write(tmp_path / name, name, weights, prefix)
    _assert_same(model.load_encoder(tmp_path / name), expected)


@NAMES
@pytest.mark.parametrize(
    "changes",
    [
        {"spec_size": [128, 98], "n_frames": 96},
        {"spec_size": None, "n_frames": None, "n_samples": None, "arch": None},
        {"dim": None, "depth": None, "mlp_dim": None, "hidden_size": 64},
        {"something": {"new": [1, 2]}, "torch_dtype": "float32"},
    ],
)
def test_other_keys_may_occur_be_missing_or_disagree(tmp_path, name, changes):
    expected = published_models.write(tmp_path / name, name, config_changes=changes)
    _assert_same(model.load_encoder(tmp_path / name), expected)


@pytest.mark.parametrize("patch_size", [16, [16, 16], "16x16", "(16, 16)", {"height": 16, "width": 16}])
def test_a_square_patch_can_be_written_in_several_ways(tmp_path, patch_size):
    expected = published_models.write(tmp_path / "any", "myna-base", config_changes={"patch_size": patch_size})
    _assert_same(model.load_encoder(tmp_path / "any"), expected)


def test_the_configuration_decides_the_patches_before_the_name(tmp_path):
    published_models.write(tmp_path / "myna-base", "myna-vertical")
    assert model.load_encoder(tmp_path / "myna-base").config.patches == "vertical"


def test_without_a_stated_patch_the_name_decides_and_else_the_caller(tmp_path):
    for folder in ("myna-vertical", "renamed"):
        published_models.write(tmp_path / folder, "myna-vertical", config_changes={"patch_size": None})
    assert model.load_encoder(tmp_path / "myna-vertical").config.patches == "vertical"
    with pytest.raises(InvalidInput, match="pass patches='square' or patches='vertical'"):
        model.load_encoder(tmp_path / "renamed")
    assert model.load_encoder(tmp_path / "renamed", patches="vertical").config.patches == "vertical"


def test_a_hybrid_whose_vertical_patches_come_first_is_put_in_order(tmp_path):
    changes = {"patch_size": [128, 2], "additional_patch_size": [16, 16]}
    expected = published_models.write(tmp_path / "first", "myna-hybrid")
    folder = tmp_path / "second"
    published_models.write(folder, "myna-hybrid", config_changes=changes)
    state = {published_folder.published._exchange(name): tensor for name, tensor in expected.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    _assert_same(model.load_encoder(folder), expected)


@pytest.mark.parametrize(
    ("name", "changes", "window"),
    [
        ("myna-vertical", {}, 98),
        ("myna-vertical", {"n_samples": None, "n_frames": None}, 98),
        ("myna-vertical", {"n_samples": 100_000}, 196),
        ("myna-base", {"n_samples": 50_000, "n_frames": 98}, 96),
        ("myna-hybrid", {"n_samples": 10, "n_frames": None}, 96),
    ],
)
def test_the_window_is_that_of_the_public_code(tmp_path, name, changes, window):
    published_models.write(tmp_path / name, name, config_changes=changes)
    assert model.load_encoder(tmp_path / name).config.window_frames == window


def test_a_snapshot_of_the_cache_has_the_name_and_the_revision_of_its_model(tmp_path):
    folder = tmp_path / "models--oriyonay--myna-vertical" / "snapshots" / "0123abc"
    published_models.write(folder, "myna-vertical", config_changes={"patch_size": None})
    loaded = checkpoints.load(folder)
    assert (loaded.name, loaded.origin["hub"], loaded.origin["revision"]) == (
        "myna-vertical",
        "oriyonay/myna-vertical",
        "0123abc",
    )


def test_what_does_not_fit_is_an_error_that_says_what(tmp_path):
    folder = tmp_path / "myna-base"
    published_models.write(folder, "myna-base", config_changes={"patch_size": [8, 8]})
    with pytest.raises(InvalidInput, match=r"patches of \[8, 8\].*another architecture"):
        model.load_encoder(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(CorruptArtifact, match="a JSON object is needed"):
        model.load_encoder(folder)
    (folder / "config.json").write_text(json.dumps(published_models.config("myna-base")))
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptArtifact, match=r"model.safetensors"):
        model.load_encoder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingArtifact, match=r"has no weights: model.safetensors or pytorch_model.bin is needed"):
        model.load_encoder(folder)
