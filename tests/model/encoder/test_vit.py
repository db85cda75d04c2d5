"""The encoder compared with the published architecture, and whole windows compared with visible patches."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from published_vit import simple_vit_module
from tiny import PATCH_SHAPES
from visible_patches import embed_patches, embed_visible, gather_patches

from model.encoder.config import PRESETS, EncoderConfig, preset
from model.encoder.input_scale import scale_input
from model.encoder.patches import patchify
from model.encoder.vit import Encoder, PatchEmbedding
from model.encoder.window_size import resize_window
from stores.errors import InvalidInput

SMALL = {
    patches: EncoderConfig(name="small", width=64, depth=2, heads=3, head_width=16, mlp_width=96, patches=patches)
    for patches in ("square", "vertical", "hybrid")
}
KINDS = pytest.mark.parametrize("kind", PATCH_SHAPES)
MODES = pytest.mark.parametrize("patches", SMALL)


def _encoder(config, seed=0):
    torch.manual_seed(seed)
    encoder = Encoder(config)
    # the defaults of every LayerNorm are ones and zeros; with other values, no test can pass by accident
    for parameter in encoder.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return encoder


def _mel(batch=3):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 128, 96, generator=generator).pow(4) * 50


def _visible(batch=3, patches=48, count=5):
    return torch.rand(batch, patches, generator=torch.Generator().manual_seed(2)).topk(count).indices


@pytest.fixture
def simple_vit():
    """Return a function that builds the published architecture with the weights of an encoder, without the head."""
    published = simple_vit_module().SimpleViT

    def build(encoder, kind):
        config = encoder.config
        vit = published(
            image_size=(config.n_mels, config.window_frames),
            patch_size=PATCH_SHAPES[kind],
            num_classes=1,
            dim=config.width,
            depth=config.depth,
            heads=config.heads,
            mlp_dim=config.mlp_width,
            channels=1,
            dim_head=config.head_width,
        )
        vit.linear_head = torch.nn.Identity()
        vit.load_state_dict(encoder.state_dict(), strict=True)
        return vit

    return build


@KINDS
@pytest.mark.parametrize("config", [SMALL["square"], PRESETS["myna-base"]], ids=lambda config: config.name)
def test_embeddings_equal_the_published_architecture(simple_vit, kind, config):
    encoder = _encoder(replace(config, patches=kind))
    mel = _mel()
    with torch.inference_mode():
        torch.testing.assert_close(encoder(mel), simple_vit(encoder, kind)(mel[:, None]), atol=1e-5, rtol=1e-5)


@KINDS
def test_masked_embeddings_and_gradients_equal_embedding_all_patches_and_dropping(simple_vit, kind):
    encoder = _encoder(SMALL[kind])
    vit, mel, visible = simple_vit(encoder, kind), _mel(), _visible()
    ours = embed_visible(encoder, gather_patches(mel, visible, PATCH_SHAPES[kind]), visible, kind)
    tokens = vit.to_patch_embedding(mel[:, None]) + vit.pos_embedding
    theirs = vit.transformer(tokens[torch.arange(3)[:, None], visible]).mean(dim=1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    published = dict(vit.named_parameters())
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, published[name].grad, atol=1e-4, rtol=1e-4, msg=name)


@KINDS
def test_gathering_before_embedding_equals_embedding_before_gathering(kind):
    embedding = _encoder(SMALL[kind]).embedding(kind)
    mel, visible = _mel(), _visible()
    gathered_first = embed_patches(embedding, gather_patches(mel, visible, PATCH_SHAPES[kind]), visible)
    embedded_first = embedding.embed(patchify(mel, PATCH_SHAPES[kind]))[torch.arange(3)[:, None], visible]
    torch.testing.assert_close(gathered_first, embedded_first, atol=1e-6, rtol=1e-6)


@KINDS
@pytest.mark.parametrize("scale", ["power", "log1p", "log1p1000", "log"])
def test_embedding_a_whole_window_equals_embedding_all_its_patches_in_any_order(kind, scale):
    encoder = _encoder(replace(SMALL[kind], input_scale=scale))
    visible = _visible(count=48)
    patches = gather_patches(scale_input(_mel(), scale), visible, PATCH_SHAPES[kind])
    torch.testing.assert_close(embed_visible(encoder, patches, visible, kind), encoder(_mel()), atol=1e-5, rtol=1e-5)


def test_a_hybrid_embeds_square_then_vertical_patches_with_one_trunk():
    hybrid = _encoder(SMALL["hybrid"])
    weights = hybrid.state_dict()
    square, vertical = (Encoder(SMALL[kind]) for kind in ("square", "vertical"))
    square.load_state_dict({name: w for name, w in weights.items() if "embedding_b" not in name})
    vertical.load_state_dict(
        {name.replace("_b.", "."): w for name, w in weights.items() if "to_patch_embedding." not in name}
    )
    embedding = hybrid(_mel())
    assert embedding.shape == (3, 128)
    torch.testing.assert_close(embedding, torch.cat((square(_mel()), vertical(_mel())), dim=1), atol=1e-6, rtol=1e-5)


def _expected_names(config):
    for embedding in ("to_patch_embedding", "to_patch_embedding_b")[: len(config.patch_kinds)]:
        yield from (f"{embedding}.{place}.{part}" for place, part in itertools.product((1, 2, 3), ("weight", "bias")))
    yield from ("transformer.norm.weight", "transformer.norm.bias")
    for layer in range(config.depth):
        attention, perceptron = (f"transformer.layers.{layer}.{part}" for part in (0, 1))
        yield from (f"{attention}.{part}.weight" for part in ("norm", "to_qkv", "to_out"))
        yield f"{attention}.norm.bias"
        yield from (f"{perceptron}.net.{p}.{part}" for p, part in itertools.product((0, 1, 3), ("weight", "bias")))


@MODES
def test_weights_are_named_as_in_the_public_checkpoints(patches):
    names = list(Encoder(SMALL[patches]).state_dict())
    assert sorted(names) == sorted(_expected_names(SMALL[patches]))


@pytest.mark.parametrize(
    ("name", "millions"), [("myna-base", 21.4), ("myna-hybrid", 21.5), ("myna-85m", 85.4), ("tiny", 2.715)]
)
def test_parameter_counts(name, millions):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Encoder(preset(name)).parameters())
    print(f"{name}: {count:,} parameters")
    assert count / 1e6 == pytest.approx(millions, rel=0.005)


@MODES
def test_building_is_deterministic_and_every_weight_gets_a_gradient(patches):
    first, second = (_encoder(SMALL[patches], seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    encoder = _encoder(SMALL[patches])
    encoder(_mel()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())


def test_an_embedding_does_not_depend_on_the_rest_of_its_batch():
    encoder = _encoder(SMALL["hybrid"]).eval()
    with torch.inference_mode():
        torch.testing.assert_close(encoder(_mel())[1:2], encoder(_mel()[1:2]), atol=1e-6, rtol=1e-5)


def test_one_export_works_for_every_batch_size():
    encoder = _encoder(SMALL["hybrid"]).eval()
    program = torch.export.export(encoder, (_mel(4),), dynamic_shapes=({0: torch.export.Dim("B", max=256)},))
    for batch in (1, 2, 7):
        torch.testing.assert_close(program.module()(_mel(batch)), encoder(_mel(batch)), atol=1e-5, rtol=1e-5)


def test_embeddings_of_silence_and_of_very_loud_audio_are_finite():
    encoder = _encoder(SMALL["hybrid"])
    mel = torch.stack((torch.zeros(128, 96), torch.full((128, 96), 1e6)))
    assert encoder(mel).isfinite().all()


def test_embeddings_under_bfloat16_autocast_are_close():
    encoder = _encoder(PRESETS["tiny"]).eval()
    with torch.inference_mode():
        exact = encoder(_mel())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = encoder(_mel())
    assert torch.cosine_similarity(exact, half.float()).min() > 0.999


def test_windows_of_another_size_and_other_patch_kinds_raise_an_error():
    encoder = Encoder(SMALL["square"])
    with pytest.raises(InvalidInput, match=r"shape \[2, 96, 128\], but encoder 'small' needs \[B, 128, N\].*transpose"):
        encoder(torch.zeros(2, 96, 128))
    with pytest.raises(InvalidInput, match="encoder 'small' embeds square patches, not 'vertical'"):
        encoder.embedding("vertical")


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("frames", [16, 192])
def test_windows_of_any_number_of_patches_have_the_positions_of_the_formula(kind, frames):
    encoder = _encoder(SMALL[kind]).eval()
    mel = torch.randn(2, 128, frames).exp()
    expected = Encoder(replace(SMALL[kind], window_frames=frames)).eval()
    expected.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoder(mel), expected(mel))
    torch.testing.assert_close(resize_window(encoder, frames)(mel), expected(mel))


def test_a_window_that_is_not_made_of_patches_is_an_error():
    encoder = Encoder(SMALL["hybrid"])
    for frames in (0, 98):
        with pytest.raises(InvalidInput, match="N is a multiple of 16"):
            encoder(torch.zeros(2, 128, frames))
    with pytest.raises(InvalidInput, match="window_frames a multiple of 16"):
        resize_window(encoder, 98)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_presets_survive_json_and_have_48_patches(config):
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert set(config.patch_counts.values()) == {48}
    assert config.embedding_width == config.width * (2 if config.patches == "hybrid" else 1)
    assert preset(config.name) is config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 62}, r"width must be a multiple of 4 and at least 8.*\(got 62\); use 64"),
        ({"width": 4}, r"\(got 4\); use 8"),
        ({"depth": 0}, r"depth must be a positive integer \(got 0\)"),
        ({"heads": True}, r"heads must be a positive integer \(got True\)"),
        ({"mlp_width": 1.5}, r"mlp_width must be .*\(got 1\.5\)"),
        ({"patches": "round"}, r"patches must be one of square, vertical, hybrid \(got 'round'\)"),
        ({"input_scale": "db"}, r"input_scale must be one of power, log1p, log1p1000, log \(got 'db'\)"),
        ({"window_frames": 97}, "128 mel bins by 97 frames does not divide into square patches of 16 by 16"),
        ({"n_mels": 100}, "100 mel bins by 96 frames does not divide into square patches of 16 by 16"),
        (
            {"n_mels": 80},
            "80 mel bins by 96 frames has 30 square patches of 16 by 16 and 48 vertical patches of 80 by 2; "
            "n_mels must be 128 for a hybrid",
        ),
    ],
)
def test_impossible_configurations_raise_an_error(change, message):
    with pytest.raises(InvalidInput, match=message):
        replace(SMALL["hybrid"], **change)


@pytest.mark.parametrize(
    ("patches", "n_mels", "shape", "count"),
    [
        ("vertical", 128, (128, 2), 48),
        ("vertical", 64, (64, 2), 48),
        ("vertical", 80, (80, 2), 48),
        ("square", 128, (16, 16), 48),
        ("square", 64, (16, 16), 24),
        ("square", 256, (16, 16), 96),
    ],
)
def test_patches_follow_the_number_of_mel_bins(patches, n_mels, shape, count):
    config = replace(SMALL[patches], n_mels=n_mels)
    assert config.patch_shapes == {patches: shape}
    assert config.patch_counts == {patches: count}
    assert _encoder(config)(torch.rand(2, n_mels, 96)).shape == (2, config.width)


def test_errors_list_unknown_and_missing_names():
    values = SMALL["square"].to_dict()
    with pytest.raises(InvalidInput, match=r"unknown key 'pool'; unknown key 'dropout'"):
        EncoderConfig.from_dict({**values, "pool": "cls", "dropout": 0.1})
    del values["depth"]
    with pytest.raises(InvalidInput, match="EncoderConfig has missing keys: depth"):
        EncoderConfig.from_dict(values)
    with pytest.raises(InvalidInput, match=r"preset must be one of myna-base, .*\(got 'myna-large'\)"):
        preset("myna-large")


def test_shapes_and_types_match_the_annotations():
    encoder, visible = _encoder(SMALL["square"]), _visible()
    jaxtyped(Encoder.forward, typechecker=beartype)(encoder, _mel())
    cells, embedding = gather_patches(_mel(), visible, (16, 16)), encoder.embedding("square")
    jaxtyped(PatchEmbedding.embed_cells, typechecker=beartype)(embedding, cells, visible)
