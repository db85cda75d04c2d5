"""Cutting, gathering, dequantizing and locating patches, compared with simple loops."""

from __future__ import annotations

import math

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from tiny import PATCH_SHAPES
from visible_patches import gather_patches

from model.encoder.input_scale import scale_input
from model.encoder.patches import (
    dequantize,
    gather_patches_at,
    gather_patches_frame_major,
    patch_grid,
    patchify,
    positions_2d,
)
from stores.errors import InvalidInput
from stores.quantize import Quantizer

SHAPES = pytest.mark.parametrize("shape", [*PATCH_SHAPES.values(), (32, 8)], ids=str)


@pytest.fixture
def mel():
    return torch.arange(3 * 128 * 96, dtype=torch.float32).reshape(3, 128, 96)


@pytest.fixture
def visible():
    return torch.stack([torch.randperm(48, generator=torch.Generator().manual_seed(b))[:5] for b in range(3)])


def _patches_by_loop(window, shape):
    mels, frames = shape
    return [
        window[m : m + mels, n : n + frames].flatten().tolist()
        for m in range(0, window.shape[0], mels)
        for n in range(0, window.shape[1], frames)
    ]


@SHAPES
def test_patches_are_cut_row_by_row_with_cells_in_mel_time_order(mel, shape):
    for window, patches in zip(mel, patchify(mel, shape), strict=True):
        assert patches.tolist() == _patches_by_loop(window, shape)


def test_patches_follow_the_einops_expression_of_the_published_code(mel):
    einops = pytest.importorskip("einops", reason="einops is used by this test only")
    expected = einops.rearrange(mel, "b (h p1) (w p2) -> b (h w) (p1 p2)", p1=16, p2=16)
    assert torch.equal(patchify(mel, (16, 16)), expected)


@SHAPES
def test_gathering_equals_cutting_all_patches_and_indexing(mel, shape):
    count = 128 * 96 // math.prod(shape)
    visible = torch.stack([torch.randperm(count)[:5] for _ in range(3)])
    expected = patchify(mel, shape)[torch.arange(3)[:, None], visible]
    frame_major = mel.transpose(1, 2).contiguous()
    assert torch.equal(gather_patches_frame_major(frame_major, visible, shape), expected)
    starts = 96 * torch.arange(3)
    at_starts = gather_patches_at(frame_major.flatten(0, 1), starts, visible, 96 // shape[1], shape)
    assert torch.equal(at_starts, expected)


@SHAPES
def test_frame_major_codes_stay_codes_until_they_are_dequantized(shape):
    codes = torch.randint(0, 256, (4, 96, 128), dtype=torch.uint8)
    table = torch.logspace(-6, 6, 256)
    visible = torch.randint(0, 128 * 96 // math.prod(shape), (4, 5))
    gathered = gather_patches_frame_major(codes, visible, shape)
    assert gathered.dtype == torch.uint8
    mel = table[codes.int()].transpose(1, 2)
    assert torch.equal(dequantize(gathered, table), gather_patches(mel, visible, shape))


def test_windows_need_not_be_contiguous(mel, visible):
    frame_major_view = mel.transpose(1, 2)
    expected = gather_patches(mel, visible, (16, 16))
    assert torch.equal(gather_patches_frame_major(frame_major_view, visible, (16, 16)), expected)


def test_all_patches_visible_in_order_is_the_whole_window(mel):
    all_patches = torch.arange(48).expand(3, 48)
    gathered = gather_patches_frame_major(mel.transpose(1, 2), all_patches, (128, 2))
    assert torch.equal(gathered, patchify(mel, (128, 2)))


@pytest.mark.parametrize("number", [-1, 48])
@pytest.mark.parametrize("shape", PATCH_SHAPES.values(), ids=str)
def test_a_patch_number_outside_the_window_never_reads_another_clip(shape, number):
    windows = torch.arange(3)[:, None, None].expand(3, 96, 128)  # every cell is the number of its clip
    patches = gather_patches_frame_major(windows, torch.full((3, 1), number), shape)
    assert torch.equal(patches, torch.arange(3)[:, None, None].expand(3, 1, math.prod(shape)))


@pytest.mark.parametrize("number", [-4_800, 4_800])
def test_a_patch_number_far_outside_the_window_raises_an_error(mel, number):
    with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
        gather_patches_frame_major(mel.transpose(1, 2), torch.full((3, 1), number), (16, 16))


@pytest.mark.parametrize("scale", ["power", "log1p", "log"])
def test_scaling_the_table_equals_scaling_the_cells(scale):
    codes = torch.randint(0, 256, (2, 5, 256), dtype=torch.uint8)
    table = torch.logspace(-6, 6, 256)
    cells_scaled = scale_input(dequantize(codes, table), scale)
    assert torch.allclose(dequantize(codes, scale_input(table, scale)), cells_scaled, rtol=1e-6)


def test_input_scales_have_the_documented_values():
    power = torch.tensor([0.0, 1e-6, 1.0, 1e6])
    assert torch.equal(scale_input(power, "power"), power)
    assert scale_input(power, "log1p").tolist() == pytest.approx([0, 1e-6, math.log(2), 13.815512], rel=1e-5)
    assert scale_input(power, "log").tolist() == pytest.approx([-6, -6, 0, 6], abs=1e-5)


@pytest.mark.parametrize(("scale", "lowest", "highest"), [("power", 0, 31_623), ("log1p", 0, 10.36), ("log", -6, 4.5)])
def test_powers_of_the_default_quantizer_have_the_documented_ranges(scale, lowest, highest):
    scaled = scale_input(torch.tensor(Quantizer().table()), scale)
    assert scaled.min().item() == pytest.approx(lowest, abs=1e-5)
    assert scaled.max().item() == pytest.approx(highest, rel=1e-3)


def test_windows_that_do_not_divide_raise_an_error_with_both_sizes():
    with pytest.raises(
        InvalidInput, match="window of 128 mel bins by 97 frames does not divide into patches of 16 by 16"
    ):
        patch_grid(128, 97, (16, 16))
    with pytest.raises(InvalidInput, match="96 mel bins by 128 frames"):
        patchify(torch.zeros(1, 96, 128), (128, 2))


def test_positions_are_sines_and_cosines_of_the_time_column_then_of_the_mel_row():
    positions = positions_2d(8, 6, 64)
    assert positions.shape == (48, 64)
    row, column = 5, 3
    for quarter, coordinate in enumerate((column, column, row, row)):
        wave = math.cos if quarter % 2 else math.sin
        expected = [wave(coordinate * 10_000 ** -(i / 15)) for i in range(16)]
        actual = positions[row * 6 + column, 16 * quarter : 16 * (quarter + 1)]
        assert actual.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(8, 6), (1, 48)])
def test_no_two_patches_share_a_position(rows, columns):
    assert torch.pdist(positions_2d(rows, columns, 192)).min() > 0.1


def test_shapes_and_types_match_the_annotations(mel, visible):
    def checked(function):
        return jaxtyped(function, typechecker=beartype)

    codes = (mel % 256).to(torch.uint8).transpose(1, 2)
    checked(patchify)(mel, (16, 16))
    checked(gather_patches_at)(codes.flatten(0, 1), torch.zeros(3, dtype=torch.int64), visible, 48, (128, 2))
    patches = checked(gather_patches_frame_major)(codes, visible, (128, 2))
    checked(dequantize)(patches, torch.zeros(256))
    checked(positions_2d)(8, 6, 64)
