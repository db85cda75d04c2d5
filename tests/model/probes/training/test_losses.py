"""Validation scores of probes and song-level aggregation, compared with slow definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score

from model.probes import musical_keys, song_aggregation
from model.probes.training import losses


def _outputs(probes=3, clips=40, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(probes, clips, classes, generator=generator), torch.arange(clips) // 4


def test_tag_scores_are_the_macro_roc_auc_of_scikit_learn():
    scores, _ = _outputs(clips=200)
    targets = (torch.rand(200, 5, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    expected = [roc_auc_score(targets.numpy(), outputs.numpy()) for outputs in scores]
    assert losses.TagScore(targets)(scores).tolist() == pytest.approx(expected, abs=1e-9)


def test_tag_scores_leave_out_tags_that_are_not_defined():
    scores, _ = _outputs(clips=30)
    targets = torch.zeros(30, 5)
    targets[::3, 1], targets[:, 2] = 1, 1
    expected = [roc_auc_score(targets[:, 1].numpy(), outputs[:, 1].numpy()) for outputs in scores]
    assert losses.TagScore(targets)(scores).tolist() == pytest.approx(expected, abs=1e-9)


def test_regression_scores_are_the_r2_of_scikit_learn():
    scores, _ = _outputs()
    targets = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    expected = [r2_score(targets.numpy(), outputs.numpy()) for outputs in scores]
    assert losses.RegressionScore(targets)(scores).tolist() == pytest.approx(expected, abs=1e-5)


def _slow_song_predictions(clips):
    """Return the class of one song by each aggregation of JukeMIR, from outputs `[clips, classes]`."""
    probabilities = np.exp(clips) / np.exp(clips).sum(1, keepdims=True)
    return {
        "vote": np.bincount(clips.argmax(1), minlength=clips.shape[1]).argmax(),
        "max": clips.max(0).argmax(),
        "gmean": np.exp(np.log(probabilities).mean(0)).argmax(),
        "mean": probabilities.mean(0).argmax(),
    }


def test_song_predictions_are_those_of_jukemir():
    scores, songs = _outputs(probes=4, clips=400)
    scores = 2 * scores
    predictions = song_aggregation.song_predictions(scores, songs, 100)
    assert tuple(predictions) == song_aggregation.AGGREGATIONS
    for probe in range(4):
        for song in range(100):
            slow = _slow_song_predictions(scores[probe, 4 * song : 4 * song + 4].double().numpy())
            assert {name: int(songs[probe, song]) for name, songs in predictions.items()} == slow


def test_the_first_class_of_a_tie_wins_a_vote():
    scores = torch.eye(4)[torch.tensor([3, 1, 3, 1, 2, 0])][None]
    assert song_aggregation.song_predictions(scores, torch.zeros(6, dtype=torch.int64), 1)["vote"].tolist() == [[1]]


# the labels of JukeMIR's script for GiantSteps, in its order
TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
JUKEMIR_KEYS = [f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS]


def test_the_ranks_of_keys_are_their_places_in_the_list_of_jukemir():
    classes = sorted(JUKEMIR_KEYS)
    assert musical_keys.label_ranks(classes).tolist() == [JUKEMIR_KEYS.index(label) for label in classes]
    some = ["A minor", "Ab major", "C# minor", "D major"]
    assert musical_keys.label_ranks(some).tolist() == [3, 1, 2, 0]
    assert musical_keys.label_ranks(["rock", "A minor", "jazz"]).tolist() == [0, 1, 2]


def test_votes_for_keys_that_tie_go_to_the_first_key_in_the_list_of_jukemir():
    classes = sorted(JUKEMIR_KEYS)
    generator = torch.Generator().manual_seed(5)
    predicted = torch.randint(24, (300, 4), generator=generator)
    outputs = torch.eye(24)[predicted].view(1, 1200, 24)
    songs, ranks = torch.arange(1200) // 4, torch.from_numpy(musical_keys.label_ranks(classes))
    votes = song_aggregation.song_predictions(outputs, songs, 300, ranks)["vote"][0]
    for song, clips in enumerate(predicted.tolist()):
        labels = [JUKEMIR_KEYS.index(classes[clip]) for clip in clips]
        winner = np.bincount(labels, minlength=24).argmax()  # the first of equals, as scipy's mode
        assert classes[votes[song]] == JUKEMIR_KEYS[winner]
    credit = torch.zeros(300, 24)
    credit[torch.arange(300), votes] = 1
    assert float(losses.ClassScore(credit, songs, ranks)(outputs)) == pytest.approx(1.0)


def test_songs_are_scored_by_the_best_aggregation():
    scores, songs = _outputs()
    credit = torch.rand(10, 5, generator=torch.Generator().manual_seed(2))
    best = losses.ClassScore(credit, songs)(scores)
    predictions = song_aggregation.song_predictions(scores, songs, 10)
    for probe in range(3):
        means = [float(credit[torch.arange(10), classes[probe]].mean()) for classes in predictions.values()]
        assert float(best[probe]) == pytest.approx(max(means))


@pytest.mark.parametrize("kind", ["classes", "tags", "numbers"])
def test_outputs_that_are_not_finite_score_nan(kind):
    scores, _ = _outputs()
    scores[1, 3, 2] = torch.nan
    targets = (torch.arange(200).view(40, 5) % 3 == 0).float()
    score = {
        "classes": losses.ClassScore(torch.eye(5)[torch.arange(40) % 5], None),
        "tags": losses.TagScore(targets),
        "numbers": losses.RegressionScore(targets),
    }[kind]
    assert score(scores).isfinite().tolist() == [True, False, True]
