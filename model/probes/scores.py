"""The score table of one task: every representation with its interval, chance, and the trained one's lead over each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.probes.bootstrap import Interval, interval
from model.probes.few_labels import FewLabels
from model.probes.linear import ProbeResult, probe
from model.probes.task import Task
from stores.commit import write_json
from stores.errors import CorruptArtefact, MissingArtefact
from stores.features import FeatureStore

TRAINED = "trained"


@dataclass(frozen=True)
class Row:
    """One representation."""

    representation: str
    """Its name."""
    width: int
    """Features."""
    inverse_l2: float
    """C of the chosen probe."""
    valid_accuracy: float
    """What it was chosen by."""
    test_accuracy: float
    """Share of test clips that are right."""
    interval: Interval
    """95 %, over groups."""
    lead: Interval | None
    """95 % of (trained - this), paired over groups; None for the trained one itself."""


@dataclass(frozen=True)
class Scores:
    """One task on one dataset."""

    dataset: str
    """Name of the dataset."""
    run: str
    """Name of the run whose encoder is `trained`."""
    task: str
    """Name of the task."""
    classes: tuple[str, ...]
    """Labels."""
    clips: dict[str, int]
    """Labelled clips by split."""
    test_groups: int
    """Pieces or songs among the test clips."""
    chance: float
    """Accuracy of guessing evenly."""
    majority: float
    """Test accuracy of always saying the most frequent class of the training clips."""
    rows: tuple[Row, ...]
    """The trained representation first."""
    provenance: dict[str, str]
    """Digest of each representation's features."""

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Scores:
        """Read what `write` wrote.

        Raises:
            MissingArtefact: nothing there.
            CorruptArtefact: not such a file.
        """
        if not path.is_file():
            raise MissingArtefact(f"no scores at {path}; make them with `python -m model.probe DATASET`")
        try:
            content = json.loads(path.read_text())
            rows = tuple(_row(row) for row in content.pop("rows"))
            return cls(**{**content, "classes": tuple(content["classes"]), "rows": rows})
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptArtefact(f"{path} does not hold scores of this version: {error}; probe again") from error


def score(
    task: str, dataset: str, run: str, features: Mapping[str, FeatureStore], few: FewLabels | None = None
) -> Scores:
    """Probe every representation on `task`.

    Args:
        task: name of the label.
        dataset: name of the dataset.
        run: name of the run.
        features: by representation; `trained` must be among them.
        few: which training groups carry labels, the same ones for all representations; all if None.

    Raises:
        InvalidInput: the task cannot be probed.
    """
    names = sorted(features, key=lambda name: name != TRAINED)  # the trained one first, the others as they came
    tasks = {name: Task.of(features[name], task) for name in names}
    results = {name: few.probe(one) if few else probe(one) for name, one in tasks.items()}
    trained = tasks[TRAINED]
    test, train = trained.splits["test"], trained.splits["train"]
    most = np.bincount(train.targets).argmax()
    return Scores(
        dataset=dataset,
        run=run,
        task=task,
        classes=trained.classes,
        clips={split: len(part.targets) for split, part in trained.splits.items()},
        test_groups=int(test.groups.max()) + 1,
        chance=1 / len(trained.classes),
        majority=float((test.targets == most).mean()),
        rows=tuple(_scored(name, tasks[name], results[name], results[TRAINED]) for name in results),
        provenance={name: str(store.provenance["digest"]) for name, store in features.items()},
    )


def _scored(name: str, task: Task, result: ProbeResult, trained: ProbeResult) -> Row:
    test = task.splits["test"]
    ahead = trained.correct - result.correct
    return Row(
        representation=name,
        width=test.features.shape[1],
        inverse_l2=result.inverse_l2,
        valid_accuracy=result.valid_accuracy,
        test_accuracy=result.test_accuracy,
        interval=interval(result.correct, test.groups),
        lead=None if result is trained else interval(ahead, test.groups),
    )


def _row(content: dict[str, Any]) -> Row:
    lead = content["lead"] and Interval(**content["lead"])
    return Row(**{**content, "interval": Interval(**content["interval"]), "lead": lead})


def table(scores: Scores) -> str:
    """The scores as text for a terminal."""
    clips = ", ".join(f"{count} {split}" for split, count in scores.clips.items())
    lines = [
        f"{scores.dataset} / {scores.task}: {len(scores.classes)} classes, {clips}, {scores.test_groups} test groups",
        f"  {'representation':<16}{'width':>6}{'test accuracy':>15}{'95 % interval':>18}   trained is ahead by (95 %)",
    ]
    lines += [_line(row) for row in scores.rows]
    lines += [
        f"  {'majority class':<16}{'':>6}{scores.majority:>15.3f}",
        f"  {'chance':<16}{'':>6}{scores.chance:>15.3f}",
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    within = f"{row.interval.low:.3f} to {row.interval.high:.3f}"
    lead = f"   {row.lead.low:+.3f} to {row.lead.high:+.3f}" if row.lead else ""
    return f"  {row.representation:<16}{row.width:>6}{row.test_accuracy:>15.3f}{within:>18}{lead}"
