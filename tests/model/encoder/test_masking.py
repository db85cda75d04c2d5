"""Masks: sizes, determinism, and that every patch has its chance."""

from __future__ import annotations

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from model.encoder.masking import CenteredMasking, UniformMasking, masking_policy, n_visible
from stores.errors import InvalidInput

KEY = torch.tensor(-(2**40))


def _draw(batch, n_patches, visible, seed=0, policy="uniform"):
    key = torch.tensor(seed * 7919 - 2**40)
    return masking_policy(policy).visible_patches(key, torch.arange(batch), (1, n_patches), visible)


@pytest.mark.parametrize(
    ("n_patches", "ratio", "expected"), [(48, 0.9, 5), (48, 0.0, 48), (48, 0.75, 12), (49, 0.9, 5), (1, 0.9, 1)]
)
def test_visible_patches_are_counted_as_published(n_patches, ratio, expected):
    assert n_visible(n_patches, ratio) == expected


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
def test_ratios_that_leave_nothing_are_refused(ratio):
    with pytest.raises(InvalidInput, match="must lie in"):
        n_visible(48, ratio)


def test_no_window_sees_a_patch_twice_or_one_that_is_not_there():
    masks = _draw(512, 48, 5)
    assert masks.shape == (512, 5)
    assert masks.dtype == torch.int64
    assert masks.min() >= 0
    assert masks.max() <= 47
    assert all(len(set(mask)) == 5 for mask in masks.tolist())


def test_all_patches_visible_is_a_permutation():
    assert torch.equal(_draw(16, 48, 48).sort(dim=1).values, torch.arange(48).expand(16, 48))


def test_every_patch_is_seen_equally_often():
    n, patches, visible = 20_000, 48, 5
    counts = torch.bincount(_draw(n, patches, visible).flatten(), minlength=patches).double()
    share = visible / patches
    # each count has variance n share (1 - share); they sum to a constant, which leaves one degree of freedom fewer
    squares = ((counts - n * share) ** 2 / (n * share * (1 - share))).sum() * (patches - 1) / patches
    # chi-square with 47 degrees of freedom: mean 47, 0.1 % to 99.9 % within 22 to 83
    assert 22 < squares < 83


def test_every_pair_of_patches_is_seen_together_equally_often():
    n, patches, visible = 20_000, 12, 3
    seen = torch.zeros(n, patches, dtype=torch.float64).scatter_(1, _draw(n, patches, visible), 1.0)
    together = (seen.T @ seen)[*torch.triu_indices(patches, patches, offset=1)]
    expected = n * (visible * (visible - 1)) / (patches * (patches - 1))
    assert (together - expected).abs().max() < 4.5 * expected**0.5


def test_masks_are_a_function_of_key_and_window():
    assert torch.equal(_draw(8, 48, 5, seed=1), _draw(8, 48, 5, seed=1))
    assert not torch.equal(_draw(8, 48, 5, seed=1), _draw(8, 48, 5, seed=2))
    assert torch.equal(_draw(8, 48, 5)[3:6], UniformMasking().visible_patches(KEY, torch.arange(3, 6), (1, 48), 5))


@pytest.mark.parametrize("policy", ["uniform", "centred"])
def test_masks_leave_the_global_generator_alone(policy):
    before = torch.get_rng_state()
    _draw(8, 48, 5, policy=policy)
    assert torch.equal(torch.get_rng_state(), before)


def test_centred_masks_are_whole_and_see_the_middle_more_often():
    masks = CenteredMasking().visible_patches(KEY, torch.arange(20_000), (8, 6), 5)
    assert all(len(set(mask)) == 5 for mask in masks[:500].tolist())
    counts = torch.bincount(masks.flatten(), minlength=48).view(8, 6).double()
    columns = counts.sum(dim=0) / counts.sum()
    assert (columns[2:4] > columns[1:5:3]).all()
    assert (columns[1:5:3] > columns[0:6:5]).all()
    torch.testing.assert_close(columns, columns.flip(0), atol=0.01, rtol=0)
    torch.testing.assert_close(counts.sum(dim=1) / counts.sum(), torch.full((8,), 1 / 8).double(), atol=0.01, rtol=0)


def test_one_patch_is_drawn_by_its_weight():
    masks = CenteredMasking().visible_patches(KEY, torch.arange(50_000), (1, 6), 1)
    weights = torch.exp(-0.5 * (((torch.arange(6) + 0.5) / 6 - 0.5) / 0.25) ** 2).double()
    shares = torch.bincount(masks.flatten(), minlength=6) / 50_000
    torch.testing.assert_close(shares.double(), weights / weights.sum(), atol=0.008, rtol=0)


@pytest.mark.parametrize("visible", [0, 49])
def test_more_patches_than_there_are_cannot_be_drawn(visible):
    with pytest.raises(InvalidInput, match=f"n_visible is {visible} of 48"):
        _draw(2, 48, visible)


def test_policies_are_found_by_name_and_unknown_ones_listed():
    assert masking_policy("uniform") == UniformMasking()
    with pytest.raises(InvalidInput, match="'blocks' is unknown; there are uniform, centred"):
        masking_policy("blocks")


def test_shapes_and_types_are_what_the_annotations_promise():
    for policy in (UniformMasking, CenteredMasking):
        jaxtyped(policy.visible_patches, typechecker=beartype)(policy(), KEY, torch.arange(2), (1, 48), 5)
