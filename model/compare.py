"""`python -m model.compare`: all scores of a run side by side, and their average as the paper has it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from model.probes.results.averages import averages
from model.probes.results.scores import TRAINED, Scores
from stores import locations
from stores.errors import CorruptArtifact, MissingArtifact, exit_status
from stores.features import FeatureStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.compare",
        description="All scores of a run: a line for each representation, a column for each task, and their average; "
        "the metrics of one task are averaged first.",
    )
    parser.add_argument("--run", help="name of the run (default: the one that finished last)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> None:
    run = options.run or locations.latest_finished_encoder().parent.name
    paths = sorted((locations.run(run) / "scores").glob("*.json"))
    if not paths:
        raise MissingArtifact(f"no scores of run {run!r}; make them with `python -m model.probe DATASET`")
    found = [Scores.read(path) for path in paths]
    print(averages(found))
    for one in found:
        if _is_stale(one):
            again = f"run `python -m model.probe {one.dataset}` again"
            print(f"{one.dataset}/{one.task}: of other features than those there now; {again}")


def _is_stale(scores: Scores) -> bool:
    """Whether features of that run lie there that are not those that were scored."""
    try:
        features = FeatureStore.read(locations.feature_store(scores.dataset, scores.run))
    except (MissingArtifact, CorruptArtifact):
        return False  # nothing there that could be meant
    return bool(scores.provenance[TRAINED] != features.provenance["digest"])


if __name__ == "__main__":
    sys.exit(main())
