"""The first card: what was trained on what, its best numbers, and a sentence for each."""

from __future__ import annotations

from collections.abc import Mapping

from model.page import markup, provenance
from model.page.document import Section
from model.page.run_results import RunResults
from model.probes.evaluation.scoring import AVERAGED
from model.probes.results.scores import Scores


def section(findings: RunResults) -> Section:
    """Tiles with the scores that the average takes and their 95 % intervals, then what they mean."""
    every = [(one, metric) for one in findings.scores for metric in averaged(one)]
    body = markup.tiles(_tile(*one) for one in every) + markup.facts(sentence(*one) for one in every)
    return Section("Overview", body, {}, {})


def averaged(scores: Scores) -> tuple[str, ...]:
    """The metrics of a task that the paper's average takes, as their mean."""
    return tuple(scores.rows[0].metrics)[: AVERAGED[scores.kind]]


def lead(findings: RunResults) -> str:
    """What was trained on what, for how long, in a sentence or two."""
    config, encoder = findings.config, findings.config.encoder
    store = findings.store or "a store that was not noted"
    took = provenance.duration(provenance.training_seconds(findings.metrics))
    return (
        f"{encoder.name} ({encoder.patches} patches) learned from {store} by {config.objective.name}: "
        f"{config.steps:,} steps of {config.batch:,} clips with {100 * config.masking_ratio:.0f} % of the patches "
        f"hidden{took and f', {took}'}. Probes on its frozen embeddings tell what it knows."
    )


def sentence(scores: Scores, metric: str) -> str:
    """Where the trained encoder stands on a task by a metric: to chance, then to the other representations."""
    value = markup.number(scores.rows[0].metrics[metric].value)
    told = f"{scores.dataset} / {scores.task}: {value} {metric}, {_to_chance(scores, metric)}"
    leads = {row.representation: row.metrics[metric].lead for row in scores.rows[1:]}
    answers = {
        "surely ahead of": [name for name, lead in leads.items() if lead and lead.low > 0],
        "surely behind": [name for name, lead in leads.items() if lead and lead.high < 0],
    }
    return f"{told}{''.join(f'; {one}' for one in _to_others(list(leads), answers))}."


def _to_chance(scores: Scores, metric: str) -> str:
    """Chance is one number, so that the score's own interval says on which side of it the score surely is."""
    chance, found = scores.chance[metric], scores.rows[0].metrics[metric]
    if found.interval.low > chance:
        how = "surely above chance"
    elif found.value > chance:
        how = "not surely above chance"
    else:
        how = "not above chance"
    return f"{how}, which is {markup.number(chance)}"


def _to_others(others: list[str], answers: Mapping[str, list[str]]) -> list[str]:
    """A clause for each kind of answer, and one for those of which nothing is sure."""
    many = len(others) > 1
    every = f"all {len(others)} other representations" if many else "the other representation"
    told = [f"{how} {every if who == others else ', '.join(who)}" for how, who in answers.items() if who]
    sure = sum(map(len, answers.values()))
    if sure == len(others):
        return told
    unsure = f"any of the {len(others)} other representations" if many else every
    return [*told, f"not told apart from {'the others' if sure else unsure}"]


def _tile(scores: Scores, metric: str) -> tuple[str, str, str]:
    found = scores.rows[0].metrics[metric]
    within = markup.between(found.interval.low, found.interval.high)
    return f"{scores.dataset} / {scores.task}", markup.number(found.value), f"{metric}, {within}"
