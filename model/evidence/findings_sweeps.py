"""The study of findings as sweeps over one setting each, which the page of the study and reports of its store show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.evidence.findings import RUNS, RunResult, Score, StudyRun, scores
from model.page.sweeps import UNTRAINED
from model.probes.results.scores import TRAINED
from stores.sweep_file import Sweep, SweepPoint, SweepScore

METRICS = {"key": "weighted score", "genre": "accuracy"}
"""Metric of each task."""
MASKED: Mapping[float | str, str] = {0.5: "masked-50", 0.75: "masked-75", 0.9: "vertical", 0.95: "masked-95"}
"""Run of each masking ratio."""
SWEEPS: Mapping[str, Mapping[float | str, str]] = {
    "masking_ratio": MASKED,
    "preset": {f"tiny-{patches}": patches for patches in ("square", "vertical", "hybrid")},
    "objective": {"infonce": "vertical", **{name: name for name in ("dcl", "sogclr", "fastclip-v3", "mae")}},
    "batch": {64: "vertical", 1024: "infonce-1024"},
}
"""Run of each value of each setting that is swept, at equal clips."""
UNTRAINED_RUNS = {"vertical": "untrained", "hybrid": "untrained-hybrid"}
"""Run without training by patch kind."""
FAIR = "scores are means over seeds, and speed and loss are those of the first seed"


@dataclass(frozen=True)
class StudyStores:
    """Names of the mel stores of the study."""

    training: str
    """Store that the encoders are trained on."""
    probed: str
    """Store of the probes."""


def sweeps(results: Sequence[RunResult], stores: StudyStores, command: str) -> list[Sweep]:
    """Return a sweep over each setting of which two values have results whose first seed records loss and speed.

    Args:
        results: results of finished runs.
        stores: names of the mel stores.
        command: command line of the study.
    """
    by_run = {result.run: result for result in sorted(results, key=lambda result: -result.seed)}
    means = {(score.name, score.task): score for score in scores(results)}
    swept = []
    for over, runs in SWEEPS.items():
        first = {value: by_run[run] for value, run in runs.items() if run in by_run and by_run[run].loss is not None}
        points = tuple(_point(value, result, means, stores.probed) for value, result in first.items())
        if len(points) > 1:
            swept.append(_sweep(over, points, stores.training, results[0].clips_seen, command))
    return swept


def _sweep(over: str, points: tuple[SweepPoint, ...], store: str, clips_seen: int, command: str) -> Sweep:
    name = f"findings-{over.replace('_', '-')}"
    return Sweep(name=name, command=command, store=store, over=over, fair=FAIR, clips_seen=clips_seen, points=points)


def _point(value: float | str, result: RunResult, means: Mapping[tuple[str, str], Score], probed: str) -> SweepPoint:
    """Return the point of a run: settings, speed and loss of its first seed, and the mean scores over its seeds."""
    assert result.seconds_per_step is not None, "a result has speed and loss, or neither"
    assert result.loss is not None
    run = next(run for run in RUNS if run.name == result.run)
    return SweepPoint(
        value=value,
        run=run.name,
        config_digest=result.config_digest,
        store_digests={probed: result.stores[1]},
        batch=run.batch,
        steps=result.steps,
        masking_ratio=run.masking_ratio,
        seconds_per_step=result.seconds_per_step,
        loss=result.loss,
        neighbours=None,
        scores=tuple(_scores(run, means, probed)),
    )


def _scores(run: StudyRun, by_name: Mapping[tuple[str, str], Score], probed: str) -> list[SweepScore]:
    names = {TRAINED: run.name, UNTRAINED: UNTRAINED_RUNS.get(run.patches, "")}
    return [
        SweepScore(probed, task, representation, metric, score.value, score.interval.low, score.interval.high)
        for representation, name in names.items()
        for task, metric in METRICS.items()
        if (score := by_name.get((name, task))) is not None
    ]
