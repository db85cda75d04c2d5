"""The comparison rule checked against the list of clips and sides."""

from __future__ import annotations

import pytest
import view_pairs

from model.objectives.kernels.comparisons import Comparisons


@pytest.mark.parametrize("comparisons", Comparisons)
@pytest.mark.parametrize(("ranks", "rank"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_compared_views_are_chosen_by_clip_and_side(comparisons, ranks, rank):
    views = view_pairs.draw(6, 4, ranks, rank)
    mask = comparisons.mask(6, len(views.all_views), views.own_start, views.own.device)
    assert mask.shape == (6, 6 * ranks)
    for i in range(6):
        assert mask[i].nonzero().flatten().tolist() == view_pairs.compared_views(i, views, comparisons)


@pytest.mark.parametrize("comparisons", Comparisons)
def test_comparisons_are_symmetric(comparisons):
    mask = comparisons.mask(10, 10, 0, view_pairs.DEVICE)
    assert mask.equal(mask.T)


def test_two_clips_leave_two_negatives():
    assert Comparisons.NEGATIVES.mask(4, 4, 0, view_pairs.DEVICE).sum(dim=1).tolist() == [2, 2, 2, 2]
