"""The findings of the paper as a study of small encoders on rendered scores: its runs, its results and its conclusions.

Every run is trained on the same number of clips, or, where its name ends with `-compute`, on as many clips as take the
same number of visible patches. A finished run is one JSON file with the points of each group, so the study can be
continued on another machine. A finding is the difference between two runs, averaged over their seeds, with an interval
of the bootstrap over groups.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.masking_config import n_visible
from model.evidence.rendered_probes import TASKS, GroupCounts
from model.probes.evaluation.bootstrap import Interval, replicates
from stores.commit import write_bytes
from stores.errors import CorruptArtifact
from stores.json_codec import read_json

PATCHES = 48
"""Patches of a window, of either kind."""
MAX_RESULT_BYTES = 1 << 20
HYBRID_READINGS = ("square", "vertical")
"""Slices of the features of a hybrid, beside all of them."""


@dataclass(frozen=True)
class StudyRun:
    """One configuration of the study."""

    name: str
    """Name of the configuration."""
    patches: str = "vertical"
    """Patch kinds of the tiny preset: square, vertical or hybrid."""
    objective: str = "infonce"
    """Objective preset."""
    masking_ratio: float = 0.9
    """Share of the patches that is masked."""
    batch: int = 64
    """Clips in a step."""
    clip_share: float = 1.0
    """Clips that the run sees, as a share of those of the others."""
    trained: bool = True
    """False for an encoder without training."""

    def steps(self, clips_seen: int) -> int:
        """Return the number of steps in which the run sees its share of so many clips; 1 without training."""
        return max(1, round(self.clip_share * clips_seen / self.batch)) if self.trained else 1

    def words(self, clips_seen: int, seed: int) -> tuple[str, ...]:
        """Return the words of `model.train`. The learning rate grows like the square root of the batch."""
        steps = self.steps(clips_seen)
        rate = 1e-3 * math.sqrt(self.batch / 64)
        return (
            *("--preset", f"tiny-{self.patches}", "--objective", self.objective),
            *("--masking-ratio", str(self.masking_ratio), "--batch", str(self.batch), "--steps", str(steps)),
            *("--learning-rate", f"{rate:g}", "--schedule", "cosine", "--warmup-steps", str(steps // 20)),
            *("--seed", str(seed)),
        )


def _share(masking_ratio: float) -> float:
    """Return the share of clips with which a masking ratio takes as many visible patches as 0.9."""
    return n_visible(PATCHES, 0.9) / n_visible(PATCHES, masking_ratio)


RUNS = (
    StudyRun("vertical"),
    StudyRun("square", patches="square"),
    StudyRun("hybrid", patches="hybrid"),
    StudyRun("hybrid-compute", patches="hybrid", clip_share=0.5),
    *(StudyRun(f"masked-{100 * ratio:.0f}", masking_ratio=ratio) for ratio in (0.95, 0.75, 0.5)),
    *(StudyRun(f"masked-{100 * r:.0f}-compute", masking_ratio=r, clip_share=_share(r)) for r in (0.95, 0.75, 0.5)),
    *(StudyRun(name, objective=name) for name in ("dcl", "sogclr", "fastclip-v3")),
    *(StudyRun(f"{name}-1024", objective=name, batch=1024) for name in ("infonce", "dcl", "sogclr", "fastclip-v3")),
    StudyRun("mae", objective="mae"),
    StudyRun("untrained", trained=False),
    StudyRun("untrained-hybrid", patches="hybrid", trained=False),
)


@dataclass(frozen=True)
class Finding:
    """A statement of the paper, or a question about it, as a comparison of two runs."""

    statement: str
    """Statement of the paper, or a question about it."""
    better: str
    """Run, or `RUN/READING`, that should be better."""
    worse: str
    """Run, or `RUN/READING`, that should be worse."""
    task: str
    """`key` or `genre`."""


FINDINGS = (
    Finding("Vertical patches hear keys better than square ones", "vertical", "square", "key"),
    Finding("Square patches hear genre better than vertical ones", "square", "vertical", "genre"),
    Finding("A hybrid hears keys better than its square reading", "hybrid", "hybrid/square", "key"),
    Finding("A hybrid hears genre better than its vertical reading", "hybrid", "hybrid/vertical", "genre"),
    Finding("Masking 90 % beats 50 % in keys, at equal clips", "vertical", "masked-50", "key"),
    Finding("Masking 90 % beats 50 % in genre, at equal clips", "vertical", "masked-50", "genre"),
    Finding("Masking 90 % beats 50 % in keys, at equal compute", "vertical", "masked-50-compute", "key"),
    Finding("Masking 90 % beats 50 % in genre, at equal compute", "vertical", "masked-50-compute", "genre"),
    Finding("Contrastive learning beats a masked autoencoder in keys", "vertical", "mae", "key"),
    Finding("Contrastive learning beats a masked autoencoder in genre", "vertical", "mae", "genre"),
    Finding("A batch of 1,024 beats one of 64 in genre, at equal clips", "infonce-1024", "vertical", "genre"),
    Finding("SogCLR beats InfoNCE at batch 64 in genre", "sogclr", "vertical", "genre"),
    Finding("FastCLIP-v3 beats InfoNCE at batch 64 in genre", "fastclip-v3", "vertical", "genre"),
    Finding("Training beats no training in keys", "vertical", "untrained", "key"),
    Finding("Training beats no training in genre", "vertical", "untrained", "genre"),
    Finding(
        "Untrained vertical patches hear keys better", "untrained-hybrid/vertical", "untrained-hybrid/square", "key"
    ),
    Finding(
        "Training teaches the vertical patches of a hybrid keys", "hybrid/vertical", "untrained-hybrid/vertical", "key"
    ),
    Finding("Training teaches the square patches of a hybrid keys", "hybrid/square", "untrained-hybrid/square", "key"),
)


@dataclass(frozen=True)
class RunResult:
    """The scores of a finished run."""

    run: str
    """Name of the configuration."""
    seed: int
    """Seed of the run."""
    clips_seen: int
    """Clips that a run with `clip_share` 1 sees."""
    steps: int
    """Steps of this run."""
    seconds: float
    """Seconds of training and scoring."""
    machine: str
    """Processor."""
    stores: tuple[str, str]
    """Digests of the store for training and of the store for the probes."""
    scores: Mapping[str, Mapping[str, GroupCounts]]
    """Counts by reading (`all`, and for a hybrid also `square` and `vertical`) and task."""
    config_digest: str = ""
    """Digest of the settings of the run; empty in results of November 2026, which did not record it."""
    seconds_per_step: float | None = None
    """Median over the lines of metrics except the first one; None in the same results."""
    loss: float | None = None
    """Last logged loss; None in the same results."""

    def write(self, folder: Path) -> None:
        """Write the result to its JSON file in a folder, as one line, because it has hundreds of numbers."""
        line = json.dumps(asdict(self), allow_nan=False)
        write_bytes(folder / file_name(self.run, self.seed), f"{line}\n".encode())


def file_name(run: str, seed: int) -> str:
    """Return the name of the file of a run."""
    return f"{run}-{seed}.json"


def read_results(folder: Path) -> list[RunResult]:
    """Return all results in a folder.

    Raises:
        CorruptArtifact: a file is no result, or the results are of different stores or lengths.
    """
    results = [_read(path) for path in sorted(folder.glob("*.json"))]
    kinds = {(result.clips_seen, tuple(result.stores)) for result in results}
    if len(kinds) > 1:
        raise CorruptArtifact(
            f"{folder} has results of {len(kinds)} studies, with other stores or clips; keep those of one study"
        )
    return results


def _read(path: Path) -> RunResult:
    try:
        fields: dict[str, Any] = read_json(path, MAX_RESULT_BYTES)
        scores = {
            reading: {
                task: GroupCounts(tuple(counts["points"]), tuple(counts["clips"])) for task, counts in tasks.items()
            }
            for reading, tasks in fields.pop("scores").items()
        }
        return RunResult(**{**fields, "stores": tuple(fields["stores"])}, scores=scores)
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptArtifact(f"{path} is no result of a run of this study: {error}") from error


@dataclass(frozen=True)
class Score:
    """The mean score of a configuration over its seeds."""

    name: str
    """`RUN`, or `RUN/READING` for a slice of a hybrid."""
    task: str
    """`key` or `genre`."""
    seeds: int
    """Number of seeds."""
    value: float
    """Mean over the clips and seeds, from 0 to 1."""
    interval: Interval
    """95 % interval of the bootstrap over groups."""
    deviation: float
    """Standard deviation over the seeds, 0 for one seed."""


def scores(results: Iterable[RunResult]) -> list[Score]:
    """Return the scores of all configurations, readings and tasks, in the order of `RUNS`."""
    by_name = _by_name(results)
    return [_score(name, task, counts) for name, tasks in by_name.items() for task, counts in tasks.items()]


@dataclass(frozen=True)
class Conclusion:
    """The outcome of a finding."""

    finding: Finding
    """Comparison that was made."""
    seeds: int
    """Number of seeds that both runs have."""
    difference: float
    """Score of the better run minus that of the worse one."""
    interval: Interval
    """95 % interval of the paired difference, by the bootstrap over groups."""

    @property
    def verdict(self) -> str:
        """`holds`, `fails` or `cannot be told`."""
        if self.interval.low > 0:
            return "holds"
        return "fails" if self.interval.high < 0 else "cannot be told"


def conclusions(results: Iterable[RunResult]) -> list[Conclusion]:
    """Return the outcome of each finding whose runs have a common seed."""
    by_name = _by_name(results)
    outcomes = (_conclude(finding, by_name) for finding in FINDINGS)
    return [outcome for outcome in outcomes if outcome is not None]


def _by_name(results: Iterable[RunResult]) -> dict[str, dict[str, dict[int, GroupCounts]]]:
    """Return counts by name, task and seed, in the order of `RUNS`."""
    order = {run.name: position for position, run in enumerate(RUNS)}
    found: dict[str, dict[str, dict[int, GroupCounts]]] = {}
    for result in sorted(results, key=lambda result: (order.get(result.run, len(order)), result.seed)):
        for reading, tasks in result.scores.items():
            name = result.run if reading == "all" else f"{result.run}/{reading}"
            for task in TASKS:
                found.setdefault(name, {}).setdefault(task, {})[result.seed] = tasks[task]
    return found


def _score(name: str, task: str, by_seed: Mapping[int, GroupCounts]) -> Score:
    values = [counts.score for counts in by_seed.values()]
    interval = _interval(_mean_points(by_seed.values()), next(iter(by_seed.values())).clips)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Score(name, task, len(values), float(np.mean(values)), interval, deviation)


def _conclude(finding: Finding, by_name: Mapping[str, Mapping[str, Mapping[int, GroupCounts]]]) -> Conclusion | None:
    better, worse = (by_name.get(name, {}).get(finding.task, {}) for name in (finding.better, finding.worse))
    seeds = sorted(better.keys() & worse.keys())
    if not seeds:
        return None
    first, second = (_mean_points(of[seed] for seed in seeds) for of in (better, worse))
    points, clips = first - second, better[seeds[0]].clips
    return Conclusion(finding, len(seeds), float(points.sum() / sum(clips)), _interval(points, clips))


def _mean_points(counts: Iterable[GroupCounts]) -> NDArray[np.float64]:
    return np.asarray(np.mean([one.points for one in counts], axis=0), np.float64)


def _interval(points: NDArray[np.float64], clips: Sequence[int]) -> Interval:
    sizes = np.array(clips)
    return Interval.of(replicates(lambda drawn: (drawn @ points) / (drawn @ sizes), len(sizes)))
