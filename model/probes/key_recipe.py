"""The full recipe for keys, step by step: a wide head, transposed training copies, and an average over transpositions.

Each step is trained on the same recordings, stopped and chosen on the same validation clips, and scored once on the
same test recordings, so their differences are paired. The first step is the linear probe that the others are compared
with. Training and test recordings may come from two stores of features of the same encoder.

Recordings are scored as they are, and in all twelve keys. The latter is the mean over a recording and its transposed
copies, so that no step gains by knowing which keys are common.

Axes: N recording, C key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes import musical_keys, transpositions
from model.probes.config import QUICK, Grid, head_grid
from model.probes.evaluation import bootstrap
from model.probes.evaluation.evaluate import WinningProbe, find_winning_probe
from model.probes.labeled_clips import KEY
from model.probes.training.grid_search import GridSearch
from stores import key_names
from stores.errors import DigestMismatch, InvalidInput
from stores.features import FeatureStore, Spans

DROPOUTS = (0.25, 0.5, 0.75)
"""Dropout rates of the wide heads, between which validation chooses."""
LINEAR, LINEAR_COPIES, WIDE, WIDE_COPIES, RECIPE = (
    "linear probe",
    "linear probe, transposed copies",
    "wide head",
    "wide head, transposed copies",
    "wide head, transposed copies, average over transpositions",
)


@dataclass(frozen=True)
class RecipeStep:
    """The result of one step of the recipe."""

    name: str
    """Name of the step."""
    probe: WinningProbe
    """The probe that validation chose."""
    credits: NDArray[np.float64]
    """Weighted score of each test recording as it is, `[N]`."""
    credits_in_all_keys: NDArray[np.float64]
    """Mean weighted score of each test recording and its transposed copies, `[N]`."""
    groups: NDArray[np.int64]
    """Group of each test recording, numbered from 0, `[N]`."""

    @property
    def valid(self) -> float:
        """Weighted score on validation."""
        return next(iter(self.probe.valid.values()))

    def to_dict(self, first: RecipeStep) -> dict[str, Any]:
        """Return JSON values: the scores, and the lead over the first step, with 95 % intervals."""
        return {
            "step": self.name,
            "valid": round(self.valid, 4),
            "test": _with_interval(self.credits, self.groups),
            "lead": _with_interval(self.credits - first.credits, self.groups),
            "test_in_all_keys": _with_interval(self.credits_in_all_keys, self.groups),
            "lead_in_all_keys": _with_interval(self.credits_in_all_keys - first.credits_in_all_keys, self.groups),
        }


@dataclass(frozen=True)
class RecipeData:
    """The recordings of the recipe."""

    train: FeatureStore
    """Clips of train and valid, with their transposed copies."""
    test: FeatureStore
    """Clips of test, with their transposed copies."""
    left_out: int
    """Training clips that were left out, because a test recording has the same audio."""


def prepare(train: FeatureStore, test: FeatureStore) -> RecipeData:
    """Return the clips with a key, without training clips whose audio is also in test.

    Args:
        train: features with the splits train and valid, and labels.
        test: features with the split test, which may be the same ones.

    Raises:
        DigestMismatch: the two stores come from different encoders.
        InvalidInput: a store has several embeddings for a clip, or there are no clips with a key.
    """
    if train.provenance.get("weights") != test.provenance.get("weights"):
        raise DigestMismatch("the features of training and test come from different encoders; extract both with one")
    tested = _select(test, [row.split == "test" and _has_key(row) for row in test.rows])
    digests = {row.source_digest for row in tested.rows}
    known = [row.source_digest in digests for row in train.rows]
    usable = [_has_key(row) and row.split in ("train", "valid") for row in train.rows]
    kept = _select(train, [good and not copy for good, copy in zip(usable, known, strict=True)])
    left_out = sum(
        copy and row.split in ("train", "valid") and not row.semitones
        for row, copy in zip(train.rows, known, strict=True)
    )
    return RecipeData(kept, tested, left_out)


def run_recipe(data: RecipeData, head: Sequence[int], search: GridSearch) -> list[RecipeStep]:
    """Train and score every step of the recipe, the linear probe first.

    Args:
        data: the recordings.
        head: units of the hidden layers of the wide head.
        search: settings of the searches.

    Raises:
        InvalidInput: the labels do not make a task, or the recordings have no transposed copies.
    """
    if not any(row.semitones for row in data.test.rows) or not any(row.semitones for row in data.train.rows):
        raise InvalidInput(
            "the recipe needs transposed copies of the training and test recordings; ingest both with --transpose 12 "
            "--transpose-all"
        )
    linear = QUICK.with_configs(tuple(config for config in QUICK.configs if not config.hidden))
    wide = head_grid([tuple(head)], DROPOUTS)
    # every step is stopped and chosen on the same validation clips, which have copies
    is_plain = [row.split == "valid" or not row.semitones for row in data.train.rows]
    plain = replace(data, train=_select(data.train, is_plain))
    steps = [
        _step(LINEAR, plain, linear, search),
        _step(LINEAR_COPIES, data, linear, search),
        _step(WIDE, plain, wide, search),
        _step(WIDE_COPIES, data, wide, search),
    ]
    return [*steps, _averaged(steps[-1], data)]


def table(steps: Sequence[RecipeStep]) -> list[str]:
    """Return the rows of a Markdown table of the steps."""
    rows = ["| step | test | ahead of the first | test in all keys | ahead of the first |", "|---|---|---|---|---|"]
    for values in (step.to_dict(steps[0]) for step in steps):
        names = ("test", "lead", "test_in_all_keys", "lead_in_all_keys")
        cells = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in (values[name] for name in names)]
        rows.append(f"| {values['step']} | {' | '.join(cells)} |")
    return rows


def _step(name: str, data: RecipeData, grid: Grid, search: GridSearch) -> RecipeStep:
    label = f"{search.label}{name}" if search.label else ""
    joined = _join(data.train, _select(data.test, [not row.semitones for row in data.test.rows]))
    probe = find_winning_probe(joined, KEY, grid, replace(search, label=label))
    credits = _clip_credits(probe, data.test, _outputs(probe, data.test).argmax(axis=1))
    recordings, groups = _recordings(data.test)
    plain = np.array([not row.semitones for row in data.test.rows])
    means = _sums(recordings, credits) / np.bincount(recordings)
    return RecipeStep(name, probe, _sums(recordings, credits * plain), means, groups)


def _averaged(step: RecipeStep, data: RecipeData) -> RecipeStep:
    """Return the step with an average over the transpositions of each test recording, each of which is moved back."""
    classes = step.probe.task.classes
    moved = transpositions.move_back(
        _outputs(step.probe, data.test), [row.semitones for row in data.test.rows], classes
    )
    recordings, groups = _recordings(data.test)
    probabilities = torch.from_numpy(moved).softmax(dim=1).numpy()
    sums = np.stack([np.bincount(recordings, column) for column in probabilities.T], axis=1)
    plain = np.array([not row.semitones for row in data.test.rows])
    clip_credits = _clip_credits(step.probe, data.test, sums.argmax(axis=1)[recordings])
    credits = _sums(recordings, plain * clip_credits)
    # a copy has the keys of its recording, moved along, so its score is the same
    return RecipeStep(RECIPE, step.probe, credits, credits, groups)


def _sums(recordings: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the values of the clips of each recording, `[N]`."""
    sums: NDArray[np.float64] = np.bincount(recordings, values).astype(np.float64)
    return sums


def _outputs(probe: WinningProbe, features: FeatureStore) -> NDArray[np.float32]:
    return probe.search.probe.outputs(features.embeddings[:, probe.columns])


def _clip_credits(probe: WinningProbe, test: FeatureStore, predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the credit of each test clip for its predicted class."""
    places = {key_names.parse_key(name): place for place, name in enumerate(probe.task.classes)}
    targets = [places[key_names.parse_key(row.labels[KEY])] for row in test.rows]
    credit: NDArray[np.float64] = musical_keys.credit_matrix(probe.task.classes)[targets, predicted]
    return credit


def _recordings(test: FeatureStore) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the recording of each clip and the group of each recording, both numbered from 0."""
    names = [f"{row.source}\0{row.member}" for row in test.rows]
    _, first, recordings = np.unique(names, return_index=True, return_inverse=True)
    groups = np.unique([test.rows[i].group or test.rows[i].id for i in first], return_inverse=True)[1]
    return recordings.astype(np.int64), groups.astype(np.int64)


def _has_key(row: Any) -> bool:
    return len(key_names.parse_keys(row.labels.get(KEY, ""))) == 1


def _select(features: FeatureStore, chosen: Sequence[bool]) -> FeatureStore:
    """Return the features of some clips."""
    if len(features.rows) > len(features.clips):
        raise InvalidInput("the recipe needs one embedding for each clip; extract without --pool none")
    rows = [row for row, is_chosen in zip(features.rows, chosen, strict=True) if is_chosen]
    return FeatureStore(features.embeddings[np.array(chosen, bool)], rows, features.provenance)


def _join(train: FeatureStore, test: FeatureStore) -> FeatureStore:
    """Return the clips of both, where groups of test cannot be taken for groups of train."""
    embeddings = np.concatenate([train.embeddings, test.embeddings])
    rows = [*train.rows, *(replace(row, group=f"test/{row.group or row.id}") for row in test.rows)]
    return FeatureStore(embeddings, rows, train.provenance, Spans.one_per_clip(len(rows)))


def _with_interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> list[float]:
    interval = bootstrap.confidence_interval(values, groups)
    return [round(number, 4) for number in (float(values.mean()), interval.low, interval.high)]


def counts(data: RecipeData) -> Mapping[str, int]:
    """Return the numbers of clips: of training with and without copies, of validation, of test, and left out."""
    split = [(row.split, bool(row.semitones)) for row in data.train.rows]
    return {
        "train": split.count(("train", False)),
        "transposed copies of train": split.count(("train", True)),
        "valid": split.count(("valid", False)),
        "transposed copies of valid": split.count(("valid", True)),
        "test": sum(not row.semitones for row in data.test.rows),
        "left out, because test has the same audio": data.left_out,
    }
