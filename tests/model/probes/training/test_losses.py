"""Validation scores of stacks, and votes, against slow definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score

from model.probes import song_aggregation
from model.probes.training import losses


def _made(probes=3, clips=40, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(probes, clips, classes, generator=generator), torch.arange(clips) // 4


def test_tag_scores_are_scikit_learns_macro_roc_auc():
    scores, _ = _made(clips=200)
    targets = (torch.rand(200, 5, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    found = losses.TagScore(targets)(scores)
    expected = [roc_auc_score(targets.numpy(), one.numpy()) for one in scores]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_tag_scores_leave_out_tags_that_are_not_defined():
    scores, _ = _made(clips=30)
    targets = torch.zeros(30, 5)
    targets[::3, 1], targets[:, 2] = 1, 1
    expected = [roc_auc_score(targets[:, 1].numpy(), one[:, 1].numpy()) for one in scores]
    assert losses.TagScore(targets)(scores).tolist() == pytest.approx(expected, abs=1e-9)


def test_number_scores_are_scikit_learns_r2():
    scores, _ = _made()
    targets = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    expected = [r2_score(targets.numpy(), one.numpy()) for one in scores]
    assert losses.NumberScore(targets)(scores).tolist() == pytest.approx(expected, abs=1e-5)


def _slow_votes(clips):
    """Of one song, numpy `[clips, classes]`, as JukeMIR has them."""
    shares = np.exp(clips) / np.exp(clips).sum(1, keepdims=True)
    return {
        "vote": np.bincount(clips.argmax(1), minlength=clips.shape[1]).argmax(),
        "max": clips.max(0).argmax(),
        "gmean": np.exp(np.log(shares).mean(0)).argmax(),
        "mean": shares.mean(0).argmax(),
    }


def test_songs_are_voted_on_as_jukemir_does():
    scores, songs = _made(probes=4, clips=400)
    scores = 2 * scores
    found = song_aggregation.song_predictions(scores, songs, 100)
    assert tuple(found) == song_aggregation.VOTES
    for probe in range(4):
        for song in range(100):
            slow = _slow_votes(scores[probe, 4 * song : 4 * song + 4].double().numpy())
            assert {name: int(one[probe, song]) for name, one in found.items()} == slow


def test_the_first_class_of_a_tie_wins_a_vote():
    scores = torch.eye(4)[torch.tensor([3, 1, 3, 1, 2, 0])][None]
    assert song_aggregation.song_predictions(scores, torch.zeros(6, dtype=torch.int64), 1)["vote"].tolist() == [[1]]


def test_classes_of_songs_score_by_the_vote_that_gives_the_most():
    scores, songs = _made()
    credit = torch.rand(10, 5, generator=torch.Generator().manual_seed(2))
    found = losses.ClassScore(credit, songs)(scores)
    by_vote = song_aggregation.song_predictions(scores, songs, 10)
    for probe in range(3):
        means = [float(credit[torch.arange(10), one[probe]].mean()) for one in by_vote.values()]
        assert float(found[probe]) == pytest.approx(max(means))


@pytest.mark.parametrize("kind", ["classes", "tags", "numbers"])
def test_outputs_that_are_not_finite_have_no_score(kind):
    scores, _ = _made()
    scores[1, 3, 2] = torch.nan
    targets = (torch.arange(200).view(40, 5) % 3 == 0).float()
    score = {
        "classes": losses.ClassScore(torch.eye(5)[torch.arange(40) % 5], None),
        "tags": losses.TagScore(targets),
        "numbers": losses.NumberScore(targets),
    }[kind]
    assert score(scores).isfinite().tolist() == [True, False, True]
