"""The verdict of a page: what the score means in words, and the command that comes next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.page import verdict
from model.probes.evaluation.bootstrap import Interval
from model.probes.label_scores import LabelScore, LabelTask

NO_CLIPS = np.zeros(0, np.int64)
TASK = LabelTask("mood", NO_CLIPS, NO_CLIPS, NO_CLIPS, ("calm", "loud"), {}, ())


def _score(clips=100, over_spectrogram=(0.05, 0.2), over_majority=(0.1, 0.3)):
    accuracy = {"first": (0.76, Interval(0.7, 0.82)), verdict.SPECTROGRAM: (0.6, Interval(0.5, 0.7))}
    differences = {verdict.SPECTROGRAM: Interval(*over_spectrogram), "majority": Interval(*over_majority)}
    return LabelScore(TASK, clips, accuracy, 0.5, "calm", differences)


@pytest.mark.parametrize(
    ("over_spectrogram", "words"),
    [
        ((0.05, 0.2), "significantly better than an average spectrogram (60 %)"),
        ((-0.2, -0.05), "significantly worse than an average spectrogram (60 %)"),
        ((-0.1, 0.1), "not significantly different from an average spectrogram (60 %)"),
    ],
)
def test_a_label_is_compared_with_an_average_spectrogram(over_spectrogram, words):
    sentence = verdict.label_sentence(_score(over_spectrogram=over_spectrogram))
    assert sentence == f"mood: 76 % of 100 recordings are recognized (70 % to 82 %), which is {words}."


def test_a_score_like_that_of_guessing_is_called_so():
    sentence = verdict.label_sentence(_score(over_majority=(-0.1, 0.2), over_spectrogram=(-0.1, 0.1)))
    assert "which is no better than guessing, and not significantly different from" in sentence


def test_few_recordings_are_said_to_tell_no_small_differences():
    collection = ("mine", "music", 100)
    assert "100 tested recordings cannot tell differences of less than about 10 points." in (
        verdict.of_collection(*collection, [_score()], True).sentence
    )
    assert "cannot tell" not in verdict.of_collection(*collection, [_score(clips=400)], True).sentence


@pytest.mark.parametrize(
    ("scores", "has_labels", "command"),
    [
        ([_score()], True, "python -m model.probe mine"),
        ([_score(over_spectrogram=(-0.1, 0.1))], True, "--checkpoint myna-hybrid --labels labels.csv"),
        ([], True, "python -m dags.explore music --name mine --labels labels.csv"),
        ([], False, "python -m dags.explore music --name mine --labels labels.csv"),
    ],
)
def test_the_next_step_depends_on_what_is_known(scores, has_labels, command):
    assert command in verdict.of_collection("mine", "music", 100, scores, has_labels).command


def test_a_run_without_scores_says_what_to_do_first(results):
    said = verdict.of_run(replace(results, scores=()))
    assert said.sentence.startswith("This run has no scores yet")
    assert said.command == "python -m model.extract DATASET --checkpoint first"


def test_a_run_is_compared_by_its_first_score(results):
    said = verdict.of_run(results)
    assert said.sentence.startswith("tags of magnatagatune: ROC-AUC 0.800, significantly better than")
    assert said.command.endswith("--probe runs/first/probes/magnatagatune.tags.trained.safetensors")
