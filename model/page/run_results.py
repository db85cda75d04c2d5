"""Everything that the page shows of a run, read from disk and checked: scores, metrics, settings and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model.probes import label_digest
from model.probes.probe_layers import outdated
from model.probes.results import layer_scores, score_validation
from model.probes.results.layer_scores import LayerScores
from model.probes.results.scores import TRAINED, Scores
from model.training import metrics_log
from model.training.config import TrainConfig
from stores import locations, sweep_file
from stores.commit import read_bounded
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.json_codec import parse_json
from stores.shards import ShardSet
from stores.sweep_file import Sweep

PAPER = ("magnatagatune", "gtzan", "giantsteps", "emomusic")
"""Datasets of the paper in its order. They come before all others, which are sorted by name."""
_MAX_BYTES = 16_000_000  # of a JSON file or a picture in a run's folder
_PNG = b"\x89PNG\r\n\x1a\n"


class ProbedRun(NamedTuple):
    """A run with scores."""

    name: str
    """Name of the run."""
    config: TrainConfig
    """Settings of the run."""
    scores: tuple[Scores, ...]
    """Scores by dataset, then task."""


@dataclass(frozen=True)
class RunResults:
    """Everything that the page shows of one run."""

    run: str
    """Name of the run."""
    config: TrainConfig | None
    """Settings of the run; None for an encoder that was not trained here, such as a published one."""
    store: str
    """Name of the mel store that the run was trained on; empty if it was not recorded."""
    trained_clips: int | None
    """Clips with a mel in the shards that the run was trained on; None if the shards are missing or have changed."""
    metrics: Sequence[Mapping[str, Any]]
    """Lines of metrics.jsonl, without values that are not finite numbers."""
    scores: tuple[Scores, ...]
    """Scores by dataset, then task. A run without scores has a page with its training and a map."""
    layers: tuple[LayerScores, ...]
    """Scores of the layers of the encoder, by dataset, then task."""
    features: Mapping[str, FeatureStore]
    """Embeddings of the run by dataset that was probed."""
    sweeps: tuple[Sweep, ...]
    """Sweeps on the datasets that the run was trained or probed on."""
    others: tuple[ProbedRun, ...]
    """Other runs that were probed on the same datasets."""
    unread: tuple[str, ...]
    """Names of other runs that could not be read."""
    reconstruction: bytes | None
    """PNG of reconstructions, if the run is a masked autoencoder."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Datasets with scores, in order; those with features if there are no scores."""
        return tuple(dict.fromkeys(scores.dataset for scores in self.scores)) or tuple(self.features)


def gather(run: str, datasets: Sequence[str] = ()) -> RunResults:
    """Read everything about a run.

    Args:
        run: name of the run.
        datasets: datasets whose scores are shown (default: all that the run has scores of).

    Raises:
        MissingArtifact: the run or its scores do not exist.
        DigestMismatch: scores belong to other features or labels than the current ones.
        CorruptArtifact: a file cannot be read.
    """
    folder = locations.run(run)
    config, store = _settings(folder)
    scores = _scores_of(run, datasets)
    names = dict.fromkeys(one_task.dataset for one_task in scores) or dict.fromkeys(_embedded_datasets(run))
    features = {name: FeatureStore.read(locations.feature_store(name, run)) for name in names}
    _require_current_features(scores, features)
    others, unread = _other_runs(run, tuple(names))
    return RunResults(
        run=run,
        config=config,
        store=store,
        trained_clips=_clips_in_shards(store, config.shards) if config else None,
        metrics=read_metrics(folder) if config else (),
        scores=scores,
        layers=_current_layers(run, tuple(names)),
        features=features,
        sweeps=tuple(sweep for sweep in sweep_file.read_all(locations.RUNS) if sweep.store in {store, *names}),
        others=others,
        unread=unread,
        reconstruction=_picture(folder / "reconstructions.png"),
    )


def _settings(folder: Path) -> tuple[TrainConfig | None, str]:
    """Return the settings of a run and the name of its mel store; None and "" if only an encoder was scored."""
    if (folder / "scores").is_dir() and not (folder / "config.json").is_file():
        return None, ""
    return read_settings(folder)


def read_settings(folder: Path) -> tuple[TrainConfig, str]:
    """Return the settings of a run and the name of its mel store.

    Raises:
        MissingArtifact: there is no run.
        CorruptArtifact: its settings cannot be read.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise MissingArtifact(
            f"no run at {folder}; train one with `python -m model.train --store STORE --name {folder.name}`"
        )
    try:
        content = parse_json(read_bounded(path, _MAX_BYTES))
        store = str(content.pop("store", ""))
        return TrainConfig.from_dict(content), store
    except (ValueError, TypeError, KeyError, AttributeError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} does not hold the settings of a run of this version: {error}") from error


def _clips_in_shards(store: str, digest: str) -> int | None:
    """Return the clips of a run's shards. Several stores, or a store in another place, are not found by the name."""
    try:
        shards = ShardSet.open(locations.shards(locations.mel_store(store)), complete=False)
    except (InvalidInput, MissingArtifact, CorruptArtifact):
        return None
    return shards.clips if shards.store_digest == digest else None


def _scores_of(run: str, datasets: Sequence[str]) -> tuple[Scores, ...]:
    """Return the scores of a run, the paper's datasets first, then the others by name."""
    folder = locations.run(run) / "scores"
    paths = [path for name in datasets or ("*",) for path in sorted(folder.glob(f"{name}.*.json"))]
    scores = [score_validation.read(path) for path in paths]
    _require_scores(run, datasets, {one_task.dataset for one_task in scores})
    return tuple(sorted(scores, key=lambda one_task: (_rank(one_task.dataset), one_task.dataset, one_task.task)))


def _require_scores(run: str, datasets: Sequence[str], existing: set[str]) -> None:
    for name in datasets:
        if name not in existing:
            subject = f"of {name!r} for run {run!r}"
            remedy = f"{name!r} is a run, whose page `--run {name}` makes" if locations.run(name).is_dir() else ""
            raise MissingArtifact(f"no scores {subject}; {remedy or f'make them with `python -m model.probe {name}`'}")


def _embedded_datasets(run: str) -> list[str]:
    """Return the names of the datasets with features of a run."""
    suffix = f".{run}.features.zarr"
    return sorted(path.name.removesuffix(suffix) for path in locations.STORES.glob(f"*{suffix}"))


def _rank(dataset: str) -> int:
    return PAPER.index(dataset) if dataset in PAPER else len(PAPER)


def _require_current_features(scores: Sequence[Scores], features: Mapping[str, FeatureStore]) -> None:
    for dataset, store in features.items():
        of_dataset = [one_task for one_task in scores if one_task.dataset == dataset]
        stale = [one.task for one in of_dataset if one.provenance[TRAINED] != store.provenance["digest"]]
        if stale:
            raise DigestMismatch(
                f"the scores on {', '.join(stale)} belong to other features than the current ones; "
                f"run `python -m model.probe {dataset}` again"
            )
        changed = [one.task for one in of_dataset if label_digest.have_changed(one.labels, one.task, dataset, one.run)]
        if changed:
            raise DigestMismatch(
                f"the scores on {', '.join(changed)} belong to other labels or splits than the current ones of "
                f"{dataset!r}; run `python -m model.probe {dataset}` again"
            )


def _current_layers(run: str, datasets: Sequence[str]) -> tuple[LayerScores, ...]:
    layers = layer_scores.read_all(run, datasets)
    for one_task in layers:
        if changed := outdated(run, one_task):
            raise DigestMismatch(
                f"the scores of layers on {one_task.task} belong to other {changed} than the current ones; run "
                f"`python -m model.probe {one_task.dataset} --layer all` again"
            )
    return layers


def _other_runs(run: str, datasets: Sequence[str]) -> tuple[tuple[ProbedRun, ...], tuple[str, ...]]:
    """Return other runs with scores on one of the datasets, and the names of those that cannot be read."""
    runs, unread = [], []
    for path in sorted(locations.RUNS.glob("*/config.json")):
        name = path.parent.name
        shared = [dataset for dataset in datasets if any((path.parent / "scores").glob(f"{dataset}.*.json"))]
        if name != run and shared:
            try:
                runs.append(ProbedRun(name, read_settings(path.parent)[0], _scores_of(name, shared)))
            except (CorruptArtifact, InvalidInput):
                unread.append(name)
    return tuple(runs), tuple(unread)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the metrics line by line, without values that are not finite numbers."""
    return [
        {name: value for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
        for row in metrics_log.read(folder)
    ]


def _picture(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = read_bounded(path, _MAX_BYTES)
    if not content.startswith(_PNG):
        raise CorruptArtifact(f"{path} is not a PNG; remove it or train the run again")
    return content
