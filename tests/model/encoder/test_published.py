"""Published checkpoints: plain state dicts become encoders with the outputs of the published architecture."""

from __future__ import annotations

import argparse
import json
import time
import warnings
import zipfile

import pytest
import tiny
import torch
from engine_contract import POWER, encoder_of
from published_vit import simple_vit_module
from safetensors.torch import save_file

import model
from model.encoder import hub
from model.encoder.config import EncoderConfig
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

SIZES = {"width": 64, "depth": 2, "heads": 2, "head_width": 64, "mlp_width": 96}
MEL = torch.from_numpy(POWER)


def _vit(kind, seed=0):
    """Return vit-pytorch's SimpleViT as the public code builds it, with weights that differ from their defaults."""
    torch.manual_seed(seed)
    vit = simple_vit_module().SimpleViT(
        image_size=(128, 96),
        patch_size=tiny.PATCH_SHAPES[kind],
        num_classes=128,
        dim=SIZES["width"],
        depth=SIZES["depth"],
        heads=SIZES["heads"],
        mlp_dim=SIZES["mlp_width"],
        channels=1,
        dim_head=SIZES["head_width"],
    )
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return vit.eval()


def _embedded(vit, mel):
    """Return the output of SimpleViT without its head."""
    vit.linear_head = torch.nn.Identity()
    with torch.inference_mode():
        return vit(mel[:, None])


@pytest.mark.parametrize(("kind", "name"), [("square", "myna-base.pth"), ("vertical", "myna-vertical.pth")])
def test_a_file_of_the_published_format_gives_the_outputs_of_its_architecture(tmp_path, kind, name):
    vit = _vit(kind)
    torch.save(vit.state_dict(), tmp_path / name)
    assert any(key.startswith("linear_head.") for key in vit.state_dict())
    encoder = model.load_encoder(tmp_path / name)
    assert (encoder.config.patches, encoder.config.input_scale) == (kind, "power")
    assert not encoder.training
    with torch.inference_mode():
        torch.testing.assert_close(encoder(MEL), _embedded(vit, MEL), atol=1e-5, rtol=1e-5)


def test_a_hybrid_concatenates_its_square_and_its_vertical_embedding(tmp_path):
    square, vertical = _vit("square"), _vit("vertical", seed=1)
    vertical.transformer.load_state_dict(square.transformer.state_dict())
    state = dict(square.state_dict())
    for name, tensor in vertical.to_patch_embedding.state_dict().items():
        state[f"to_patch_embedding_b.{name}"] = tensor
    torch.save(state, tmp_path / "myna-hybrid.pth")
    encoder = model.load_encoder(tmp_path / "myna-hybrid.pth")
    both = torch.cat((_embedded(square, MEL), _embedded(vertical, MEL)), dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(MEL), both, atol=1e-5, rtol=1e-5)
        for i, kind in enumerate(("square", "vertical")):
            single = model.load_encoder(tmp_path / "myna-hybrid.pth", patches=kind)
            torch.testing.assert_close(single(MEL), both.chunk(2, dim=1)[i], atol=1e-5, rtol=1e-5)


def _state(patches="square"):
    return dict(encoder_of(EncoderConfig(name="x", patches=patches, **SIZES)).state_dict())


def _write(path, state):
    torch.save(state, path)
    return path


def test_the_caller_states_the_input_scale(tmp_path):
    path = _write(tmp_path / "myna-base.pth", _state())
    assert model.load_encoder(path, input_scale="log1p").config.input_scale == "log1p"
    assert model.load_encoder(path).config.input_scale == "power"


def test_the_caller_must_state_the_patches_if_the_file_does_not(tmp_path):
    path = _write(tmp_path / "mine.pth", _state())
    with pytest.raises(
        InvalidInput, match=r"which can be square or vertical.*pass patches='square' or patches='vertical'"
    ):
        model.load_encoder(path)
    for patches in ("square", "vertical"):
        assert model.load_encoder(path, patches=patches).config.patches == patches
    with pytest.raises(InvalidInput, match="patches 'round' are unknown"):
        model.load_encoder(path, patches="round")


def test_the_error_lists_missing_and_unexpected_tensors(tmp_path):
    state = _state()
    del state["transformer.norm.bias"]
    state["cls_token"] = torch.zeros(1)
    with pytest.raises(
        CorruptArtifact, match=r"missing tensors: transformer\.norm\.bias; unexpected tensors: cls_token"
    ):
        model.load_encoder(_write(tmp_path / "myna-base.pth", state))


def test_the_error_lists_tensors_of_other_shapes(tmp_path):
    state = {**_state(), "transformer.norm.bias": torch.zeros(3)}
    with pytest.raises(CorruptArtifact, match=r"transformer\.norm\.bias \[3\], expected \[64\]"):
        model.load_encoder(_write(tmp_path / "myna-base.pth", state))


class Malicious:
    def __reduce__(self):
        return (pytest.fail, ("code in the file was executed",))


@pytest.mark.parametrize(
    "content", [{"x": Malicious()}, Malicious(), ["no", "dict"], {"epoch": 3}, {"state_dict": {"a": torch.zeros(1)}}]
)
def test_only_tensors_are_read_and_nothing_is_executed(tmp_path, content):
    with pytest.raises(CorruptArtifact, match="is not a"):
        model.load_encoder(_write(tmp_path / "myna-base.pth", content))


def _prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


WRAPPED = {
    "DistributedDataParallel": lambda state: _prefixed("module.", state),
    "torch.compile": lambda state: _prefixed("_orig_mod.", state),
    "a part compiled": lambda state: {
        name.replace("transformer.", "transformer._orig_mod."): tensor for name, tensor in state.items()
    },
    "nested prefixes": lambda state: _prefixed("model.module._orig_mod.", state),
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}, "epoch": 3},
    "state_dict": lambda state: {"state_dict": _prefixed("module.", state), "epoch": 3},
    "nested dicts": lambda state: {"model": {"state_dict": state}},
    "Lightning": lambda state: {
        "state_dict": {**_prefixed("model.", state), "criterion.scale": torch.ones(1)},
        "pytorch-lightning_version": "2.5.0",
        "hyper_parameters": {"lr": 0.1, "name": "x"},
        "optimizer_states": [{"state": {}, "param_groups": []}],
    },
}


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("name", ["myna-base.pth", "Myna-Base.ckpt", "MYNA_BASE"])
def test_files_as_people_publish_them_are_read(tmp_path, kind, name):
    state = {**_state(), "linear_head.weight": torch.zeros(3, 64)}
    encoder = model.load_encoder(_write(tmp_path / name, WRAPPED[kind](state)))
    assert encoder.config.patches == "square"
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("name", ["Myna-Vertical.safetensors", "myna-vertical.pth"])
def test_a_plain_safetensors_file_is_read_whatever_its_name(tmp_path, name):
    state = _state()
    save_file(_prefixed("model.", state), tmp_path / name, metadata={"format": "pt"})
    encoder = model.load_encoder(tmp_path / name)
    assert (encoder.config.patches, encoder.config.input_scale) == ("vertical", "power")
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


def test_a_checkpoint_of_a_run_under_another_name_keeps_its_settings(tmp_path):
    path = tiny.write_run(tmp_path / "run", tiny.train_config("vertical"))
    path.rename(tmp_path / "myna-base.pth")
    assert model.load_encoder(tmp_path / "myna-base.pth").config == tiny.encoder_config("vertical")


def test_the_weights_of_a_folder_are_read_with_the_settings_beside_them(tmp_path):
    encoder = encoder_of(tiny.encoder_config("hybrid"))
    hub.write(tmp_path / "folder", hub.PretrainedFolder(encoder))
    assert model.load_encoder(tmp_path / "folder" / "model.safetensors").config == encoder.config


@pytest.mark.parametrize("name", ["database_vert.pth", "baseline.pth", "verticals.pth", "mine.pth"])
def test_a_part_of_a_word_in_the_name_states_no_patches(tmp_path, name):
    with pytest.raises(InvalidInput, match="its name does not say which"):
        model.load_encoder(_write(tmp_path / name, _state()))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 85912345\n"
FOREIGN = {
    POINTER: r"a git-LFS pointer and not the file of 85912345 bytes .*run `git lfs pull`",
    b"\n<!DOCTYPE html><html>": "is a page of HTML or XML",
    b"\x1f\x8b\x08\x00": "is a gzip archive; unpack it",
    b"\x89HDF\r\n": "is an HDF5 file",
    b"": "is not a state dict of tensors",
    b"PK\x03\x04": "is not a state dict of tensors",
}


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("name", ["myna-base.pth", "myna-base.ckpt"])
def test_other_files_are_an_error_that_says_what_they_are(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptArtifact, match=FOREIGN[content]):
        model.load_encoder(tmp_path / name)


def test_a_pointer_of_git_lfs_is_named_in_the_place_of_every_file(tmp_path):
    (tmp_path / "encoder.safetensors").write_bytes(POINTER)
    hub.write(tmp_path / "folder", hub.PretrainedFolder(encoder_of(tiny.encoder_config())))
    (tmp_path / "folder" / "model.safetensors").write_bytes(POINTER)
    for path in (tmp_path / "encoder.safetensors", tmp_path / "folder"):
        with pytest.raises(CorruptArtifact, match="a git-LFS pointer"):
            model.load_encoder(path)


def test_python_objects_are_named_and_nobody_is_advised_to_execute_them(tmp_path):
    path = _write(tmp_path / "last.ckpt", {"state_dict": _state(), "hyper_parameters": argparse.Namespace(lr=0.1)})
    with pytest.raises(CorruptArtifact, match=r"Python objects other than tensors \(argparse\.Namespace\)") as caught:
        model.load_encoder(path)
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, but its files are still about
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "base.pt"))
    with pytest.raises(CorruptArtifact, match="is a TorchScript program") as scripted:
        model.load_encoder(tmp_path / "base.pt")
    for error in (caught, scripted):
        assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda state: {**_prefixed("student.", state), **_prefixed("teacher.", state)}, r"'student\.', 'teacher\.'"),
        (lambda state: {"generator": state, "epoch": 3}, "its keys are 'generator', 'epoch'"),
        (
            lambda state: {**state, "transformer.norm.bias": torch.full((64,), torch.nan)},
            "NaN or infinite: trans",
        ),
        (lambda state: {**state, "transformer.norm.bias": torch.zeros(64, dtype=torch.int64)}, "not real numbers"),
        (lambda state: {**state, "transformer.norm.bias": torch.zeros(64, dtype=torch.complex64)}, "not real numbers"),
        (lambda state: {**state, "x": torch.zeros(1).expand(1 << 40)}, r"tensor x claims \[1099511627776\] values"),
        (lambda state: {**state, "x": torch.zeros(9, 9).to_sparse()}, "tensor x, which holds no plain array"),
        (lambda state: {**state, "x": torch.zeros(1 << 40, device="meta")}, "tensor x, which holds no plain array"),
    ],
)
def test_state_dicts_without_usable_weights_are_an_error_that_names_them(tmp_path, state, message):
    with pytest.raises(CorruptArtifact, match=message):
        model.load_encoder(_write(tmp_path / "myna-base.pth", state(_state())))


def test_compressed_entries_are_rejected_before_they_are_unpacked(tmp_path):
    _write(tmp_path / "plain.pth", {"x": torch.zeros(2_000_000)})
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "myna-base.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(CorruptArtifact, match="in compressed entries"):
        model.load_encoder(tmp_path / "myna-base.pth")


@pytest.mark.parametrize("absurd", [{"width": 1 << 20}, {"depth": 1000}, {"window_frames": 1 << 40}])
def test_a_folder_with_absurd_sizes_is_rejected_before_a_model_is_built(tmp_path, absurd):
    hub.write(tmp_path, hub.PretrainedFolder(encoder_of(tiny.encoder_config())))
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "encoder": {**values["encoder"], **absurd}}))
    start = time.perf_counter()
    with pytest.raises(CorruptArtifact):
        model.load_encoder(tmp_path)
    assert time.perf_counter() - start < 0.5


def test_files_that_are_not_checkpoints_raise_an_error(tmp_path):
    (tmp_path / "myna-base.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(CorruptArtifact, match="is not a state dict of tensors"):
        model.load_encoder(tmp_path / "myna-base.pth")
    with pytest.raises(CorruptArtifact, match="is not a published checkpoint of Myna"):
        model.load_encoder(_write(tmp_path / "myna-base.pth", {"other": torch.zeros(1)}))
    with pytest.raises(MissingArtifact, match="no checkpoint at"):
        model.load_encoder(tmp_path / "none.pth")


def test_checkpoints_of_runs_state_their_own_settings(tmp_path):
    path = tiny.write_run(tmp_path / "run", tiny.train_config("hybrid"))
    assert model.load_encoder(path).config == tiny.encoder_config("hybrid")
    assert model.load_encoder(path, patches="vertical").config == tiny.encoder_config("vertical")
    with pytest.raises(InvalidInput, match="was trained on log1p mel, not on power"):
        model.load_encoder(path, input_scale="power")
    other = tiny.write_run(tmp_path / "other", tiny.train_config("vertical"))
    with pytest.raises(InvalidInput, match="embeds vertical"):
        model.load_encoder(other, patches="square")
