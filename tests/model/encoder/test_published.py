"""Published checkpoints: plain state dicts become encoders with the outputs of the published architecture."""

from __future__ import annotations

import pytest
import tiny
import torch
from engine_contract import POWER, encoder_of
from published_vit import simple_vit_module

import model
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
