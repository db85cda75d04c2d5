"""The description of a service as JSON values: its version, encoder, probes, collection and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dags.service.analysis import Analysis, ServedProbe
from dags.service.catalog import MAX_NEIGHBORS, Catalog
from model.probes.encoder_match import features_of

MAX_TEXT_CHARACTERS = 200
_CALIBRATION = ("temperature", "error_before", "error_after", "clips")


def describe(analysis: Analysis, catalog: Catalog | None, version: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a service."""
    spec, windowing = analysis.myna.mel_spec, analysis.windowing
    return {
        "service": "myna",
        "version": version,
        "encoder": {
            "name": analysis.loaded.name,
            "weights": analysis.weights,
            "width": analysis.myna.width,
            "sample_rate_hz": analysis.rate_hz,
            "window_seconds": round(spec.seconds_for(windowing.window_frames), 3),
            "hop_seconds": round(spec.seconds_for(windowing.hop_frames), 3),
        },
        "probes": [_probe(served) for served in analysis.probes],
        "collection": None if catalog is None else _collection(catalog, analysis.catalog is not None),
        "limits": {**limits, "neighbors": MAX_NEIGHBORS},
    }


def _probe(served: ServedProbe) -> dict[str, Any]:
    metadata = served.probe.metadata
    calibration = metadata.get("calibration")
    return {
        "name": served.name,
        "kind": metadata["kind"],
        "labels": metadata["classes"],
        "vote": metadata["vote"],
        "pool": features_of(served.probe).get("pool", "mean"),
        "calibration": _numbers(calibration) if isinstance(calibration, dict) else {},
        "sha256": served.sha256,
        "knows_distance": served.probe.reference is not None,
    }


def _numbers(calibration: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the calibration of a probe, whose file may come from anywhere."""
    values = {name: calibration.get(name) for name in _CALIBRATION}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _collection(catalog: Catalog, has_neighbors: bool) -> dict[str, Any]:
    collection = catalog.collection
    return {
        "name": collection.path.name,
        "digest": collection.digest,
        "clips": len(collection.clips),
        "changed": catalog.has_changed,
        "neighbors_of_uploads": has_neighbors,
    }
