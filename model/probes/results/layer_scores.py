"""The scores of the layers of an encoder on one task, in `runs/NAME/layers/DATASET.TASK.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from annotated_types import Len
from pydantic import FiniteFloat

from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.evaluate import WinningProbe
from stores import locations
from stores.commit import write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import JsonSettings, from_json, read_json

FORMAT_VERSION = 1
MAX_BYTES = 1 << 20
"""Largest file of scores of layers that is read. One with 12 layers has about 3 kB."""


@dataclass(frozen=True)
class LayerScore(JsonSettings):
    """The score of one layer, or of the mean over several."""

    layer: int | str
    """Block from 1, a range of blocks such as `3-8`, or `mean` for all of them."""
    width: int
    """Number of features that the probe reads."""
    part: str
    """Slice of the embedding of a hybrid that validation chose; empty without slices."""
    valid: FiniteFloat
    """Main metric on validation."""
    value: FiniteFloat
    """Main metric on test."""
    low: FiniteFloat
    """Lower end of the 95 % confidence interval on test."""
    high: FiniteFloat
    """Upper end of this interval."""

    @classmethod
    def of(cls, layer: int | str, result: WinningProbe) -> LayerScore:
        """Return the score of the probe that validation chose for a layer."""
        metric, estimate = next(iter(result.test.items()))
        interval = Interval.of(estimate.replicates).including(estimate.value)
        width = result.task.splits["test"].features.shape[1]
        scores = (result.valid[metric], estimate.value, interval.low, interval.high)
        return cls(layer, width, result.slice_name, *scores)


@dataclass(frozen=True, kw_only=True)
class LayerScores(JsonSettings):
    """The scores of the layers of a run's encoder on one task."""

    format_version: int = FORMAT_VERSION
    """Version of the file format."""
    dataset: str
    """Name of the dataset."""
    run: str
    """Name of the run."""
    task: str
    """Name of the task."""
    metric: str
    """Name of the main metric."""
    grid: str
    """Name of the grid that is searched for each layer."""
    probes: int
    """Number of probes of the grid."""
    clips: dict[str, int]
    """Number of labeled clips by split."""
    features: str
    """Digest of the weights of the encoder, or of the features if they do not state it."""
    labels: str
    """Digest of the labels, splits and groups of the task."""
    rows: Annotated[tuple[LayerScore, ...], Len(1, 5000)]
    """Scores, blocks first and in order."""

    @property
    def blocks(self) -> list[LayerScore]:
        """Scores of single blocks, in order."""
        return [row for row in self.rows if isinstance(row.layer, int)]

    @property
    def best(self) -> LayerScore:
        """The row that is best on validation, the first of equals."""
        return max(self.rows, key=lambda row: row.valid)

    def merged_into(self, previous: LayerScores | None) -> LayerScores:
        """Return these scores with those of other layers in `previous`, if both can be compared."""
        if previous is None or replace(previous, rows=self.rows) != self:
            return self
        rows = {row.layer: row for row in (*previous.rows, *self.rows)}
        return replace(self, rows=tuple(sorted(rows.values(), key=_order)))

    def write(self, path: Path) -> None:
        """Write the scores as JSON, atomically."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> LayerScores:
        """Return the scores in the file `path`, which `write` has written.

        Raises:
            MissingArtifact: there is no such file.
            CorruptArtifact: the file does not hold scores of layers of this version, or those of another task.
        """
        if not path.is_file():
            raise MissingArtifact(f"no scores of layers at {path}; make them with {_command('DATASET')}")
        try:
            scores = from_json(cls, read_json(path, MAX_BYTES), str(path))
            _validate(scores, path)
        except (CorruptArtifact, InvalidInput, OSError) as error:
            raise CorruptArtifact(f"{error}; remove the file, or run {_command('DATASET')} again") from error
        return scores


def read_all(run: str, datasets: Sequence[str] = ()) -> tuple[LayerScores, ...]:
    """Return the scores of layers of a run, by dataset and task (default: of all datasets).

    Raises:
        CorruptArtifact: a file does not hold scores of layers of this version.
    """
    paths = sorted((locations.run(run) / "layers").glob("*.json"))
    scores = (LayerScores.read(path) for path in paths)
    return tuple(one_task for one_task in scores if not datasets or one_task.dataset in datasets)


def table(scores: LayerScores) -> str:
    """Return the scores as text for a terminal, where a star marks the layer that is best on validation."""
    clips = ", ".join(f"{count} {split}" for split, count in scores.clips.items())
    lines = [
        f"{scores.dataset} / {scores.task}: layers of {scores.run}, {clips}",
        f"  {scores.grid} grid: {scores.probes} probes for each layer, chosen on validation (* best on validation)",
        f"  {scores.metric:<22}{'width':>6}{'valid':>8}{'test':>8}{'95 % interval':>18}",
    ]
    for row in scores.rows:
        name = f"{row.layer}{'*' if row is scores.best else ''}{f' ({row.part})' if row.part else ''}"
        interval = f"{row.low:.3f} to {row.high:.3f}"
        lines.append(f"    {name:<20}{row.width:>6}{row.valid:>8.3f}{row.value:>8.3f}{interval:>18}")
    return "\n".join(lines)


def _order(row: LayerScore) -> tuple[bool, int, str]:
    return (isinstance(row.layer, str), row.layer if isinstance(row.layer, int) else 0, str(row.layer))


def _validate(scores: LayerScores, path: Path) -> None:
    if scores.format_version != FORMAT_VERSION:
        raise CorruptArtifact(f"{path} has format version {scores.format_version}, and this one reads {FORMAT_VERSION}")
    if path.name != f"{scores.dataset}.{scores.task}.json":
        raise CorruptArtifact(
            f"{path} holds scores of {scores.dataset!r} / {scores.task!r}, and its name states others"
        )
    if len({row.layer for row in scores.rows}) < len(scores.rows):
        raise CorruptArtifact(f"{path} has two scores of one layer")
    for row in scores.rows:
        if not row.low <= row.value <= row.high or max(row.high, row.valid) > 1 + 1e-9:
            raise CorruptArtifact(f"{path}: the score {row.value} of layer {row.layer} does not fit its interval")


def _command(dataset: str) -> str:
    return f"`python -m model.probe {dataset} --layer all`"


def digest_of(provenance: Mapping[str, object]) -> str:
    """Return what identifies the encoder of features: the digest of its weights, or else that of the features."""
    return str(provenance.get("weights") or provenance.get("digest"))
