"""The verdict above all sections: one sentence that a musician understands, and the next step as a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.page import formats
from model.page.run_results import RunResults
from model.probes.evaluation.bootstrap import Interval
from model.probes.label_scores import LabelScore
from model.probes.results.scores import TRAINED, Scores

SPECTROGRAM = "mean-log-mel"
ENOUGH_CLIPS = 200
"""Labeled clips from which a difference of ten points is usually significant."""
PUBLISHED = "myna-hybrid"
"""Published encoder that the next step names."""


@dataclass(frozen=True)
class Verdict:
    """Verdict in one sentence, which the page begins with."""

    sentence: str
    """The result in words."""
    next_step: str
    """Next step, in words."""
    command: str
    """The command that does it."""


def of_run(results: RunResults) -> Verdict:
    """Return the verdict of a run by its first score that enters the average."""
    store = results.store or "STORE"
    if not results.scores:
        extract = f"python -m model.extract DATASET --checkpoint {results.run}"
        return Verdict(
            "This run has no scores yet, so nothing is known about what it has learned.",
            "Embed a dataset with labels, and then score it with model.probe:",
            extract,
        )
    scores = results.scores[0]
    metric = next(iter(scores.rows[0].metrics))
    sentence = f"{_compared_in_words(scores, metric)}{_limits_in_words(scores.clips.get('test', 0))}"
    if _is_better(scores, metric):
        command = f"python -m model.predict {scores.dataset} --probe runs/{results.run}/probes/"
        probe = f"{scores.dataset}.{scores.task}.{TRAINED}.safetensors"
        return Verdict(sentence, "Use the classifier on other music:", command + probe)
    if scores.clips.get("train", 0) < ENOUGH_CLIPS or results.config is None:
        return Verdict(
            sentence,
            f"Label about {ENOUGH_CLIPS} recordings, or use the published encoder:",
            f"python -m model.extract {scores.dataset} --checkpoint {PUBLISHED}",
        )
    return Verdict(
        sentence,
        "Train for longer. A run with more steps goes on where this one has ended:",
        f"python -m model.train --store {store} --name {results.run} --steps {2 * results.config.steps}",
    )


def of_collection(name: str, folder: str, clips: int, scores: Sequence[LabelScore], has_labels: bool) -> Verdict:
    """Return the verdict of a collection of recordings without a run.

    Args:
        name: name of the collection.
        folder: folder of its audio.
        clips: number of its recordings.
        scores: scores of its labels, as far as they can be scored.
        has_labels: whether the recordings have labels.
    """
    if not scores:
        sentence = f"Recordings that sound alike to the encoder are close together on the map of {clips:,} recordings."
        step = (
            "The labels have too few recordings to be scored. Label at least 5 recordings of each class:"
            if has_labels
            else "Write labels into a CSV file with the columns path and, for example, genre, to color the map by them:"
        )
        return Verdict(sentence, step, f"python -m dags.explore {folder} --name {name} --labels labels.csv")
    first = max(scores, key=lambda score: score.tested_clips)
    sentence = f"{label_sentence(first)}{_limits_in_words(first.tested_clips)}"
    if first.differences[SPECTROGRAM].low > 0:
        return Verdict(
            sentence,
            "Train a classifier of your labels that can be used on other music:",
            f"python -m model.probe {name}",
        )
    return Verdict(
        sentence,
        f"Label more recordings (about {ENOUGH_CLIPS}), or use the published encoder:",
        f"python -m dags.explore {folder} --name {name}-hybrid --checkpoint {PUBLISHED} --labels labels.csv",
    )


def label_sentence(score: LabelScore) -> str:
    """Return what a classifier on the embeddings gets right, and how an average spectrogram does."""
    encoder = next(iter(score.accuracy))
    share, interval = score.accuracy[encoder]
    spectrogram = score.accuracy[SPECTROGRAM][0]
    against = {
        "significantly better than": score.differences[SPECTROGRAM].low > 0,
        "significantly worse than": score.differences[SPECTROGRAM].high < 0,
    }
    words = next((text for text, holds in against.items() if holds), "not significantly different from")
    start = "" if score.differences["majority"].low > 0 else "no better than guessing, and "
    return (
        f"{score.task.name}: {_percent(share)} of {score.tested_clips} recordings are recognized "
        f"({_percent(interval.low)} to {_percent(interval.high)}), which is {start}{words} an average spectrogram "
        f"({_percent(spectrogram)})."
    )


def _compared_in_words(scores: Scores, metric: str) -> str:
    trained = scores.rows[0].metrics[metric]
    value = f"{scores.task} of {scores.dataset}: {metric} {formats.number(trained.value)}"
    lead = _lead(scores, metric)
    if lead is None:
        return f"{value}. There is no average spectrogram to compare it with."
    words = "no better than" if lead.high >= 0 else "significantly worse than"
    return f"{value}, {'significantly better than' if lead.low > 0 else words} an average spectrogram."


def _lead(scores: Scores, metric: str) -> Interval | None:
    others = {row.representation: row.metrics[metric].lead for row in scores.rows[1:]}
    return others.get(SPECTROGRAM)


def _is_better(scores: Scores, metric: str) -> bool:
    lead = _lead(scores, metric)
    return lead is not None and lead.low > 0


def _limits_in_words(tested: int) -> str:
    """Return what so many tested recordings cannot tell: differences within about two standard errors."""
    if not tested or tested >= ENOUGH_CLIPS:
        return ""
    points = round(100 * 1.96 * (0.25 / tested) ** 0.5)
    return f" {tested} tested recordings cannot tell differences of less than about {points} points."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
