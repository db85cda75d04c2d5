"""The winning probe of a representation as a file that predicts: `runs/RUN/probes/DATASET.TASK.REPRESENTATION...`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.probes.evaluation.evaluate import Evaluation
from stores import locations


def probe_path(run: str, dataset: str, task: str, representation: str) -> Path:
    """Where the winning probe of one representation lies."""
    names = (locations.validate_name(name) for name in (dataset, task, representation))
    return locations.run(run) / "probes" / f"{'.'.join(names)}.safetensors"


def keep(path: Path, found: Evaluation, provenance: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the probe that won, with all that a prediction needs to know.

    Args:
        path: where.
        found: what the search found.
        provenance: of the features.
        facts: more to keep, JSON.
    """
    told = {
        **facts,
        "task": found.task.name,
        "kind": found.task.kind,
        "classes": list(found.task.classes),
        "vote": found.vote,
        "part": found.part,
        "columns": [found.columns.start, found.columns.stop],
        "config": found.winner.trained.config.to_dict(),
        "valid": found.valid,
        "test": {name: one.value for name, one in found.test.items()},
        "features": dict(provenance),
    }
    replace(found.winner.head, facts=told).write(path)
