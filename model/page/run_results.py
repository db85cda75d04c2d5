"""What a run found, read from disk and checked, before a word of it is written: scores, metrics, settings, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.page import sweep_file
from model.page.sweep_file import SweepResults
from model.probes.results import score_validation
from model.probes.results.scores import TRAINED, Scores
from model.training import metrics_log
from model.training.config import TrainConfig
from stores import locations
from stores.commit import read_bounded
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.shards import ShardSet

PAPER = ("magnatagatune", "gtzan", "giantsteps", "emomusic")
"""The paper's data sets, in its order, which comes before that of the alphabet."""
_MOST_BYTES = 16_000_000  # of a JSON or a picture that a run leaves
Other = tuple[str, TrainConfig, tuple[Scores, ...]]
"""Name, settings and scores of a run."""
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class RunResults:
    """All that the page tells of one run."""

    run: str
    """Its name."""
    config: TrainConfig
    """Its settings."""
    store: str
    """What it was trained on."""
    trained_clips: int | None
    """Clips in the shards that it was trained on, those with a mel; None where these are gone or others now."""
    metrics: Sequence[Mapping[str, Any]]
    """Lines of metrics.jsonl, without values that are no finite numbers."""
    scores: tuple[Scores, ...]
    """By data set, then task."""
    features: Mapping[str, FeatureStore]
    """Its embeddings by data set: those that were probed."""
    sweeps: tuple[SweepResults, ...]
    """Over one setting, of what it was trained or probed on."""
    others: tuple[Other, ...]
    """Name, settings and scores of other runs that were probed on the same."""
    unread: tuple[str, ...]
    """Names of those that could not be read."""
    reconstruction: bytes | None
    """A PNG, where the run is a masked autoencoder's."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those with scores, in order."""
        return tuple(dict.fromkeys(one.dataset for one in self.scores))


def gather(run: str, datasets: Sequence[str] = ()) -> RunResults:
    """Read everything of a run.

    Args:
        run: its name.
        datasets: whose scores are told; all that the run has scores of, if none is given.

    Raises:
        MissingArtifact: no such run, or no scores of it.
        DigestMismatch: scores are of other features than those that are there now.
        CorruptArtifact: something of it cannot be read.
    """
    folder = locations.run(run)
    config, store = _settings(folder)
    scores = _scores_of(run, datasets)
    names = dict.fromkeys(one.dataset for one in scores)
    features = {name: FeatureStore.read(locations.feature_store(name, run)) for name in names}
    _require_of_these(scores, features)
    others, unread = _others(run, tuple(names))
    return RunResults(
        run=run,
        config=config,
        store=store,
        trained_clips=_clips_in_shards(store, config.shards),
        metrics=_measured(folder),
        scores=scores,
        features=features,
        sweeps=tuple(one for one in sweep_file.all_of(locations.RUNS) if one.store in {store, *names}),
        others=others,
        unread=unread,
        reconstruction=_picture(folder / "reconstructions.png"),
    )


def _settings(folder: Path) -> tuple[TrainConfig, str]:
    path = folder / "config.json"
    if not path.is_file():
        raise MissingArtifact(
            f"no run at {folder}; train one with `python -m model.train --store STORE --name {folder.name}`"
        )
    try:
        content = json.loads(read_bounded(path, _MOST_BYTES))
        store = str(content.pop("store", ""))
        return TrainConfig.from_dict(content), store
    except (ValueError, TypeError, KeyError, AttributeError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} holds no settings of a run of this version: {error}") from error


def _clips_in_shards(store: str, digest: str) -> int | None:
    """Of the run's own store; several, or one that lies elsewhere, are not found by the name."""
    try:
        shards = ShardSet.open(locations.shards(locations.mel_store(store)), complete=False)
    except (InvalidInput, MissingArtifact, CorruptArtifact):
        return None
    return shards.clips if shards.store_digest == digest else None


def _scores_of(run: str, datasets: Sequence[str]) -> tuple[Scores, ...]:
    """In the paper's order, then the alphabet's."""
    folder = locations.run(run) / "scores"
    found = [
        score_validation.read(path) for name in datasets or ("*",) for path in sorted(folder.glob(f"{name}.*.json"))
    ]
    there = {one.dataset for one in found}
    for name in datasets or ("DATASET",):
        if name not in there and (datasets or not found):
            what = f"of {name!r} for run {run!r}" if datasets else f"for run {run!r}"
            mend = f"`--run {name}` tells of that run" if locations.run(name).is_dir() else ""
            raise MissingArtifact(f"no scores {what}; {mend or f'make them with `python -m model.probe {name}`'}")
    return tuple(sorted(found, key=lambda one: (_place(one.dataset), one.dataset, one.task)))


def _place(dataset: str) -> int:
    return PAPER.index(dataset) if dataset in PAPER else len(PAPER)


def _require_of_these(scores: Sequence[Scores], features: Mapping[str, FeatureStore]) -> None:
    for dataset, store in features.items():
        mine = [one for one in scores if one.dataset == dataset]
        stale = [one.task for one in mine if one.provenance[TRAINED] != store.provenance["digest"]]
        if stale:
            raise DigestMismatch(
                f"the scores on {', '.join(stale)} are of other features than those there now; "
                f"run `python -m model.probe {dataset}` again"
            )


def _others(run: str, datasets: Sequence[str]) -> tuple[tuple[Other, ...], tuple[str, ...]]:
    """Other runs with scores on one of these data sets; the names of those that cannot be read are kept apart."""
    found, unread = [], []
    for path in sorted(locations.RUNS.glob("*/config.json")):
        name = path.parent.name
        there = [one for one in datasets if any((path.parent / "scores").glob(f"{one}.*.json"))]
        if name != run and there:
            try:
                found.append((name, _settings(path.parent)[0], _scores_of(name, there)))
            except (CorruptArtifact, InvalidInput):
                unread.append(name)
    return tuple(found), tuple(unread)


def _measured(folder: Path) -> list[dict[str, Any]]:
    """Numbers by name, line by line; what is not finite is left out, and so is what is no number."""
    rows = [
        {name: value for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
        for row in metrics_log.read(folder)
    ]
    if any(not isinstance(row.get("step"), int) for row in rows):
        raise CorruptArtifact(f"{folder / metrics_log.NAME} holds a line whose step is no integer; take it out")
    return rows


def _picture(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = read_bounded(path, _MOST_BYTES)
    if not content.startswith(_PNG):
        raise CorruptArtifact(f"{path} is no PNG; remove it, or train the run again")
    return content
