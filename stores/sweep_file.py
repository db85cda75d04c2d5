"""The file `runs/NAME.sweep.json`: runs that differ in one setting, with their speed and their scores.

`dags.sweep` writes it after each run, `dags.findings` at its end, and reports read it. The classes below are the
format, key by key. `neighbours` is the stored spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import FiniteFloat

from stores.commit import write_json
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import JsonSettings, from_json, read_json

FORMAT_VERSION = 1
MAX_BYTES = 16_000_000
_SUFFIX = ".sweep.json"


@dataclass(frozen=True)
class SweepScore:
    """A test score of one representation of a run."""

    dataset: str
    """Name of the dataset that was probed."""
    task: str
    """Name of the task."""
    representation: str
    """Name of the representation, for example `trained`."""
    metric: str
    """Name of the metric."""
    value: FiniteFloat
    """Score."""
    low: FiniteFloat
    """Lower end of the 95 % confidence interval."""
    high: FiniteFloat
    """Upper end of the 95 % confidence interval."""


@dataclass(frozen=True)
class SweepPoint:
    """One finished run of a sweep."""

    value: int | FiniteFloat | str
    """Value of the setting, a number if the setting is one."""
    run: str
    """Name of the run."""
    config_digest: str
    """Digest of the run's settings."""
    store_digests: dict[str, str]
    """Digest of the mel store by dataset that was probed."""
    batch: int
    """Clips of a step."""
    steps: int
    """Training steps."""
    masking_ratio: FiniteFloat
    """Share of the patches that is hidden."""
    seconds_per_step: FiniteFloat
    """Median over the lines of metrics except the first one."""
    loss: FiniteFloat
    """Last logged loss."""
    neighbours: FiniteFloat | None
    """Last accuracy of k-NN validation; None if there was none."""
    scores: tuple[SweepScore, ...]
    """All scores of all representations."""


@dataclass(frozen=True, kw_only=True)
class Sweep(JsonSettings):
    """Runs that differ in one setting."""

    format_version: int = FORMAT_VERSION
    """Version of the format."""
    name: str
    """Name of the sweep."""
    command: str
    """Command line that makes the sweep."""
    store: str
    """Name of the mel store that the runs are trained on."""
    over: str
    """Name of the setting, for example `masking_ratio`."""
    fair: str
    """Description of the settings that all runs share."""
    clips_seen: int
    """Clips that each run sees, counted once per step."""
    points: tuple[SweepPoint, ...]
    """Finished runs in the order of the values on the command line."""


def write(path: Path, sweep: Sweep) -> None:
    """Write a sweep atomically."""
    write_json(path, sweep.to_dict())


def read(path: Path) -> Sweep:
    """Return the sweep in the file at `path`.

    Raises:
        CorruptArtifact: it is not a sweep of this format version, or not the one that the file is named for.
        OSError: from the file system.
    """
    values = read_json(path, MAX_BYTES)
    if (version := values.get("format_version")) != FORMAT_VERSION:
        raise CorruptArtifact(
            f"{path} has format version {version}, and this version reads {FORMAT_VERSION}; {_REMEDY}"
        )
    try:
        sweep = from_json(Sweep, values, str(path))
    except InvalidInput as error:
        raise CorruptArtifact(f"{error}; {_REMEDY}") from error
    if path.name != f"{sweep.name}{_SUFFIX}":
        raise CorruptArtifact(f"{path} holds the sweep {sweep.name!r}, but its file name states another; {_REMEDY}")
    return sweep


def read_all(folder: Path) -> tuple[Sweep, ...]:
    """Return all sweeps in a folder that have a point, sorted by name.

    Raises:
        CorruptArtifact: one of them is not a sweep of this format version.
    """
    sweeps = [read(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]
    return tuple(sweep for sweep in sweeps if sweep.points)


_REMEDY = "remove it and run `python -m dags.sweep` again, which keeps the finished runs"
