"""The study of findings as sweeps over one setting each, which the page of the study and reports of its store show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

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
FAIR = "every run sees the same number of clips, all else is equal, and a score is the mean over seeds"


@dataclass(frozen=True)
class StudyStores:
    """Names of the mel stores of the study."""

    training: str
    """Store that the encoders are trained on."""
    probed: str
    """Store of the probes."""


def sweeps(results: Sequence[RunResult], stores: StudyStores, command: str) -> list[Sweep]:
    """Return a sweep over each setting of which two values have results with loss and speed.

    Args:
        results: results of finished runs.
        stores: names of the mel stores.
        command: command line of the study.
    """
    by_run: dict[str, list[RunResult]] = {}
    for result in results:
        by_run.setdefault(result.run, []).append(result)
    means = {(score.name, score.task): score for score in scores(results)}
    swept = []
    for over, runs in SWEEPS.items():
        whole = {value: by_run[run] for value, run in runs.items() if _is_whole(by_run.get(run, ()))}
        points = tuple(_point(value, seeds, means, stores.probed) for value, seeds in whole.items())
        if len(points) > 1:
            swept.append(_sweep(over, points, stores.training, results[0].clips_seen, command))
    return swept


def _sweep(over: str, points: tuple[SweepPoint, ...], store: str, clips_seen: int, command: str) -> Sweep:
    name = f"findings-{over.replace('_', '-')}"
    return Sweep(name=name, command=command, store=store, over=over, fair=FAIR, clips_seen=clips_seen, points=points)


def _is_whole(results: Sequence[RunResult]) -> bool:
    """Return whether there are results, and all of them record what a point of a sweep states."""
    return bool(results) and all(result.loss is not None for result in results)


def _point(
    value: float | str, results: Sequence[RunResult], by_name: Mapping[tuple[str, str], Score], probed: str
) -> SweepPoint:
    """Return the point of a run: the settings of its first seed, and the means over its seeds."""
    first = results[0]
    run = next(run for run in RUNS if run.name == first.run)
    return SweepPoint(
        value=value,
        run=run.name,
        config_digest=first.config_digest,
        store_digests={probed: first.stores[1]},
        batch=run.batch,
        steps=first.steps,
        masking_ratio=run.masking_ratio,
        seconds_per_step=fmean(result.seconds_per_step or 0 for result in results),
        loss=fmean(result.loss or 0 for result in results),
        neighbours=None,
        scores=tuple(_scores(run, by_name, probed)),
    )


def _scores(run: StudyRun, by_name: Mapping[tuple[str, str], Score], probed: str) -> list[SweepScore]:
    names = {TRAINED: run.name, UNTRAINED: UNTRAINED_RUNS.get(run.patches, "")}
    return [
        SweepScore(probed, task, representation, metric, score.value, score.interval.low, score.interval.high)
        for representation, name in names.items()
        for task, metric in METRICS.items()
        if (score := by_name.get((name, task))) is not None
    ]
