"""The first section: what was trained on what, the scores that enter the average, and a sentence about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.page import formats, provenance
from model.page.document import Section
from model.page.run_results import RunResults
from model.probes.evaluation.scoring import AVERAGED_METRICS
from model.probes.results.scores import Scores


def section(results: RunResults) -> Section:
    """Return tiles with the scores that enter the average and their 95 % intervals, and a sentence about each."""
    entries = [(scores, metric) for scores in results.scores for metric in averaged_metrics(scores)]
    content = {
        "tiles": [_tile(scores, metric) for scores, metric in entries],
        "sentences": [sentence(scores, metric) for scores, metric in entries],
    }
    return Section("Overview", "overview", content)


def averaged_metrics(scores: Scores) -> tuple[str, ...]:
    """Return the metrics of a task whose mean enters the paper's average."""
    return tuple(scores.rows[0].metrics)[: AVERAGED_METRICS[scores.kind]]


def lead(results: RunResults) -> str:
    """Return one or two sentences on what was trained on what, and for how long."""
    if results.config is None:
        return (
            f"{results.run} was not trained in this folder: its weights come from elsewhere. Probes on its frozen "
            "embeddings measure what it has learned."
        )
    config, encoder = results.config, results.config.encoder
    store = results.store or "a store that was not recorded"
    duration = provenance.duration(provenance.training_seconds(results.metrics))
    return (
        f"{encoder.name} ({encoder.patches} patches) was trained on {store} with the objective "
        f"{config.objective.label}: {config.steps:,} steps of {config.batch:,} clips with "
        f"{100 * config.masking_ratio:.0f} % of the patches masked{duration and f', {duration}'}. "
        "Probes on its frozen embeddings measure what it has learned."
    )


def sentence(scores: Scores, metric: str) -> str:
    """Return a sentence that compares the trained encoder with chance and with the other representations."""
    value = formats.number(scores.rows[0].metrics[metric].value)
    start = f"{scores.dataset} / {scores.task}: {value} {metric}, {_compared_with_chance(scores, metric)}"
    differences = {row.representation: row.metrics[metric].lead for row in scores.rows[1:]}
    verdicts = {
        "significantly better than": [
            name for name, difference in differences.items() if difference and difference.low > 0
        ],
        "significantly worse than": [
            name for name, difference in differences.items() if difference and difference.high < 0
        ],
    }
    return f"{start}{''.join(f'; {clause}' for clause in _compared_with_others(list(differences), verdicts))}."


def _compared_with_chance(scores: Scores, metric: str) -> str:
    """Compare a score with chance. Chance is a single number, so the score's own interval decides."""
    chance, score = scores.chance[metric], scores.rows[0].metrics[metric]
    if score.interval.low > chance:
        verdict = "significantly above chance"
    elif score.value > chance:
        verdict = "not significantly above chance"
    else:
        verdict = "not above chance"
    return f"{verdict} ({formats.number(chance)})"


def _compared_with_others(others: Sequence[str], verdicts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a clause for each verdict, and one for the representations without a significant difference."""
    several = len(others) > 1
    everyone = f"all {len(others)} other representations" if several else "the other representation"
    clauses = [
        f"{verdict} {everyone if names == others else ', '.join(names)}" for verdict, names in verdicts.items() if names
    ]
    decided = sum(map(len, verdicts.values()))
    if decided == len(others):
        return clauses
    undecided = f"any of the {len(others)} other representations" if several else everyone
    return [*clauses, f"no significant difference from {'the others' if decided else undecided}"]


def _tile(scores: Scores, metric: str) -> dict[str, str]:
    score = scores.rows[0].metrics[metric]
    return {
        "name": f"{scores.dataset} / {scores.task}",
        "value": formats.number(score.value),
        "remark": f"{metric}, {formats.interval(score.interval.low, score.interval.high)}",
    }
