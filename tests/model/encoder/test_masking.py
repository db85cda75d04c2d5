"""Masks: sizes, determinism, the chance of every patch, and the names of the policies."""

from __future__ import annotations

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from model.encoder.masking import POLICIES, CenteredMasking, UniformMasking, masking_policy
from model.encoder.masking_config import MaskingName, n_visible, normalize_masking_name, stored_masking_name
from stores.errors import InvalidInput

KEY = torch.tensor(-(2**40))


def _draw(batch, n_patches, visible, seed=0, policy="uniform"):
    key = torch.tensor(seed * 7919 - 2**40)
    return masking_policy(policy).visible_patches(key, torch.arange(batch), (1, n_patches), visible)


@pytest.mark.parametrize(
    ("n_patches", "ratio", "expected"), [(48, 0.9, 5), (48, 0.0, 48), (48, 0.75, 12), (49, 0.9, 5), (1, 0.9, 1)]
)
def test_number_of_visible_patches_is_that_of_the_public_code(n_patches, ratio, expected):
    assert n_visible(n_patches, ratio) == expected


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
def test_ratios_outside_zero_to_one_raise_an_error(ratio):
    with pytest.raises(InvalidInput, match=r"masking_ratio must lie in \[0, 1\).*got"):
        n_visible(48, ratio)


def test_no_window_has_a_visible_patch_twice_or_outside_the_window():
    masks = _draw(512, 48, 5)
    assert masks.shape == (512, 5)
    assert masks.dtype == torch.int64
    assert masks.min() >= 0
    assert masks.max() <= 47
    assert all(len(set(mask)) == 5 for mask in masks.tolist())


def test_all_patches_visible_is_a_permutation():
    assert torch.equal(_draw(16, 48, 48).sort(dim=1).values, torch.arange(48).expand(16, 48))


def test_every_patch_is_visible_equally_often():
    n, patches, visible = 20_000, 48, 5
    counts = torch.bincount(_draw(n, patches, visible).flatten(), minlength=patches).double()
    share = visible / patches
    # each count has variance n share (1 - share); the counts sum to a constant, which removes one degree of freedom
    squares = ((counts - n * share) ** 2 / (n * share * (1 - share))).sum() * (patches - 1) / patches
    # chi-square with 47 degrees of freedom: mean 47, 0.1 % to 99.9 % within 22 to 83
    assert 22 < squares < 83


def test_every_pair_of_patches_is_visible_together_equally_often():
    n, patches, visible = 20_000, 12, 3
    is_visible = torch.zeros(n, patches, dtype=torch.float64).scatter_(1, _draw(n, patches, visible), 1.0)
    together = (is_visible.T @ is_visible)[*torch.triu_indices(patches, patches, offset=1)]
    expected = n * (visible * (visible - 1)) / (patches * (patches - 1))
    assert (together - expected).abs().max() < 4.5 * expected**0.5


def test_masks_are_a_function_of_key_and_window():
    assert torch.equal(_draw(8, 48, 5, seed=1), _draw(8, 48, 5, seed=1))
    assert not torch.equal(_draw(8, 48, 5, seed=1), _draw(8, 48, 5, seed=2))
    assert torch.equal(_draw(8, 48, 5)[3:6], UniformMasking().visible_patches(KEY, torch.arange(3, 6), (1, 48), 5))


@pytest.mark.parametrize("policy", ["uniform", "centered"])
def test_masks_do_not_change_the_global_generator(policy):
    before = torch.get_rng_state()
    _draw(8, 48, 5, policy=policy)
    assert torch.equal(torch.get_rng_state(), before)


def test_centered_masks_have_no_repetitions_and_leave_the_middle_visible_more_often():
    masks = CenteredMasking().visible_patches(KEY, torch.arange(20_000), (8, 6), 5)
    assert all(len(set(mask)) == 5 for mask in masks[:500].tolist())
    counts = torch.bincount(masks.flatten(), minlength=48).view(8, 6).double()
    columns = counts.sum(dim=0) / counts.sum()
    assert (columns[2:4] > columns[1:5:3]).all()
    assert (columns[1:5:3] > columns[0:6:5]).all()
    torch.testing.assert_close(columns, columns.flip(0), atol=0.01, rtol=0)
    torch.testing.assert_close(counts.sum(dim=1) / counts.sum(), torch.full((8,), 1 / 8).double(), atol=0.01, rtol=0)


def test_a_single_visible_patch_is_drawn_by_its_weight():
    masks = CenteredMasking().visible_patches(KEY, torch.arange(50_000), (1, 6), 1)
    weights = torch.exp(-0.5 * (((torch.arange(6) + 0.5) / 6 - 0.5) / 0.25) ** 2).double()
    shares = torch.bincount(masks.flatten(), minlength=6) / 50_000
    torch.testing.assert_close(shares.double(), weights / weights.sum(), atol=0.008, rtol=0)


@pytest.mark.parametrize("visible", [0, 49])
def test_numbers_of_visible_patches_outside_the_window_raise_an_error(visible):
    with pytest.raises(InvalidInput, match=rf"n_visible must be from 1 to the number of patches, 48 \(got {visible}\)"):
        _draw(2, 48, visible)


def test_policies_have_names_and_unknown_names_raise_an_error_that_lists_them():
    assert masking_policy("uniform") == UniformMasking()
    assert set(POLICIES) == set(MaskingName.__args__)
    with pytest.raises(InvalidInput, match="'blocks' is unknown; use one of uniform, centered"):
        masking_policy("blocks")


@pytest.mark.parametrize("name", ["centered", "centred"])
def test_both_spellings_of_centered_are_read_and_centred_is_stored(name):
    assert masking_policy(name) == CenteredMasking()
    assert normalize_masking_name(name) == "centered"
    assert stored_masking_name(name) == "centred"


def test_the_stored_name_of_uniform_is_uniform_and_unknown_names_raise_an_error():
    assert stored_masking_name("uniform") == normalize_masking_name("uniform") == "uniform"
    assert normalize_masking_name("blocks") == "blocks"
    with pytest.raises(InvalidInput, match="'blocks' is unknown; use one of uniform, centered"):
        stored_masking_name("blocks")


def test_shapes_and_types_match_the_annotations():
    for policy in (UniformMasking, CenteredMasking):
        jaxtyped(policy.visible_patches, typechecker=beartype)(policy(), KEY, torch.arange(2), (1, 48), 5)
