"""Files of the winning probes: `runs/RUN/probes/DATASET.TASK.REPRESENTATION.safetensors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.probes.evaluation.evaluate import WinningProbe
from model.probes.training_reference import TrainingReference
from stores import locations


def probe_path(run: str, dataset: str, task: str, representation: str) -> Path:
    """Return the path of the winning probe of one representation."""
    names = (locations.validate_name(name) for name in (dataset, task, representation))
    return locations.run(run) / "probes" / f"{'.'.join(names)}.safetensors"


def write_winning_probe(
    path: Path, result: WinningProbe, provenance: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Write the winning probe with everything that a prediction needs.

    Args:
        path: path of the file.
        result: the probe of the representation, with its scores.
        provenance: provenance of the features.
        metadata: further JSON values to store.
    """
    described = {
        **metadata,
        "task": result.task.name,
        "kind": result.task.kind,
        "classes": list(result.task.classes),
        "vote": result.aggregation,
        "part": result.slice_name,
        "columns": [result.columns.start, result.columns.stop],
        "config": result.search.winner.config.to_dict(),
        "valid": result.valid,
        "test": {name: estimate.value for name, estimate in result.test.items()},
        "calibration": result.calibration,
        "features": dict(provenance),
    }
    reference = TrainingReference.of(*(result.task.splits[split].features for split in ("train", "valid")))
    replace(result.search.probe, metadata=described, reference=reference).write(path)
