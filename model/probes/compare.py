"""The work of `python -m model.compare`: print all scores of a run and their average."""

from __future__ import annotations

from typing import Any

from model.probes import label_digest
from model.probes.config import CompareSettings
from model.probes.probe_layers import outdated
from model.probes.results import layer_scores, score_validation
from model.probes.results.averages import averages
from model.probes.results.scores import TRAINED, Scores
from model.training.continuation import require_config_file
from stores import locations
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import read_provenance
from stores.json_output import print_json


def compare(settings: CompareSettings) -> None:
    """Print a table of the scores of a run, and a line for each task whose features have changed since.

    Raises:
        MissingArtifact: no run is finished, or the run has no scores of the datasets.
        CorruptArtifact: a file of scores is damaged, its values do not fit together, or config.json contradicts the
            run's weights.
    """
    run = settings.run or locations.only_finished_run()
    print(f"run: {run}")
    require_config_file(locations.run(run))
    folder = locations.run(run) / "scores"
    names = tuple(dict.fromkeys(settings.datasets))
    paths = [path for name in names or ("*",) for path in sorted(folder.glob(f"{_pattern(name)}.*.json"))]
    if not paths:
        of_datasets = f" on {', '.join(names)}" if names else ""
        raise MissingArtifact(f"no scores of run {run!r}{of_datasets}; make them with `python -m model.probe DATASET`")
    scores = [score_validation.read(path) for path in paths]
    if settings.json:
        print_json({"run": run, "scores": _values(scores)})
        return
    print(averages(scores, names))
    _print_layers(run, names)
    for task in scores:
        if _is_outdated(task):
            command = f"python -m model.probe {task.dataset}"
            print(f"{task.dataset}/{task.task}: scores of other features than the current ones; run `{command}` again")
        elif label_digest.have_changed(task.labels, task.task, task.dataset, task.run):
            command = f"python -m model.probe {task.dataset}"
            print(f"{task.dataset}/{task.task}: scores of other labels than the current ones; run `{command}` again")


def are_runs(settings: CompareSettings) -> bool:
    """Return whether the stated names are runs to compare, and not datasets.

    Raises:
        InvalidInput: some names are runs and others are not, or there is a single run.
    """
    runs = [name for name in settings.datasets if (locations.run(name) / "config.json").is_file()]
    if settings.run is not None or not runs:
        return False
    if len(runs) < len(settings.datasets) or len(runs) < 2:
        others = [name for name in settings.datasets if name not in runs]
        missing = f"there is no run {', '.join(others)}" if others else "a comparison needs a second run"
        raise InvalidInput(f"{', '.join(runs)} is a run, and {missing}; name two runs, or one run with --run")
    return True


def _values(scores: list[Scores]) -> dict[str, Any]:
    """Return the scores as JSON values."""
    return {
        f"{one.dataset}/{one.task}": {
            row.representation: {name: metric.value for name, metric in row.metrics.items()} for row in one.rows
        }
        for one in scores
    }


def _print_layers(run: str, datasets: tuple[str, ...]) -> None:
    for one_task in layer_scores.read_all(run, datasets):
        best = one_task.best
        print(
            f"{one_task.dataset}/{one_task.task}: best layer on validation {best.layer} of {len(one_task.rows)} scored,"
            f" test {one_task.metric} {best.value:.3f} ({best.low:.3f} to {best.high:.3f})"
        )
        if changed := outdated(run, one_task):
            command = f"python -m model.probe {one_task.dataset} --layer all"
            print(f"  scores of other {changed} than the current ones; run `{command}` again")


def _pattern(dataset: str) -> str:
    return dataset if dataset == "*" else locations.validate_name(dataset)


def _is_outdated(scores: Scores) -> bool:
    """Return whether the current features of the run differ from those that were scored."""
    try:
        provenance = read_provenance(locations.feature_store(scores.dataset, scores.run))
    except (MissingArtifact, CorruptArtifact):
        return False  # there are no current features
    return bool(scores.provenance[TRAINED] != provenance.get("digest"))
