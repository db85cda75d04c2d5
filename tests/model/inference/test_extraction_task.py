"""The work of one part in a worker: the same bytes as here, and only with the driver's engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from model.inference import extraction_task, representations
from model.inference.extraction import ExtractionConfig
from model.inference.extraction_task import ExtractionTask
from stores.errors import DigestMismatch
from stores.feature_parts import FeatureParts


@pytest.fixture
def made(tmp_path, make_store):
    """A job of one part with two clips, their rows, and what this process makes of them."""
    store, path = make_store([100, 300]), tiny.write_run(tmp_path / "runs" / "first")
    asked = ExtractionConfig(precision="fp32")
    here = representations.of_checkpoint(path, asked)
    provenance = here.provenance(store)
    parts = FeatureParts(tmp_path / "f.zarr", (2,), 32)
    parts.begin(provenance)
    shared = ExtractionTask(store.path, path, asked, provenance["batch_windows"], provenance, parts)
    return shared, tuple(store.rows), here.features(store, store.rows)


def test_a_part_holds_the_bytes_that_the_driver_would_have_made(made):
    shared, rows, expected = made
    for _ in range(2):  # tasks may run twice
        assert extraction_task.work((shared, 0, rows)) == 6
        np.testing.assert_array_equal(np.load(shared.parts.folder / "part-00000000.npy"), expected)


def test_a_worker_with_another_engine_refuses(made):
    shared, rows, _ = made
    other = replace(shared, provenance={**shared.provenance, "engine": {"name": "eager", "device": "NVIDIA H200"}})
    with pytest.raises(DigestMismatch, match=r"this worker's engine is .*'cpu'.*made with .*'NVIDIA H200'"):
        extraction_task.work((other, 0, rows))
