"""The rule of who is compared with whom against the list of clips and sides."""

from __future__ import annotations

import pytest
import view_pairs

from model.objectives.kernels.comparisons import Comparisons


@pytest.mark.parametrize("keys", Comparisons)
@pytest.mark.parametrize(("ranks", "rank"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_keys_are_chosen_by_clip_and_side(keys, ranks, rank):
    drawn = view_pairs.draw(6, 4, ranks, rank)
    mask = keys.mask(6, len(drawn.everyone), drawn.first, drawn.own.device)
    assert mask.shape == (6, 6 * ranks)
    for i in range(6):
        assert mask[i].nonzero().flatten().tolist() == view_pairs.keys_of(i, drawn, keys)


@pytest.mark.parametrize("keys", Comparisons)
def test_who_is_a_key_of_a_view_has_it_as_a_key(keys):
    mask = keys.mask(10, 10, 0, view_pairs.DEVICE)
    assert mask.equal(mask.T)


def test_two_clips_leave_two_negatives():
    assert Comparisons.NEGATIVES.mask(4, 4, 0, view_pairs.DEVICE).sum(dim=1).tolist() == [2, 2, 2, 2]
