"""A worker's task writes the bytes that the main process would write, and needs the same engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from model.inference import extraction_task, representations
from model.inference.extraction import Extraction, ExtractionConfig
from model.inference.extraction_task import ExtractionTask
from stores.errors import DigestMismatch
from stores.feature_parts import FeatureParts


@pytest.fixture
def extraction(tmp_path, make_store):
    """A task of one part with two clips, their rows, and the features that this process computes."""
    store, path = make_store([100, 300]), tiny.write_run(tmp_path / "runs" / "first")
    config = ExtractionConfig(precision="fp32")
    representation = representations.of_checkpoint(path, config)
    provenance = representation.provenance(store)
    parts = FeatureParts(tmp_path / "f.zarr", (2,), 32)
    parts.begin(provenance)
    task = ExtractionTask(store.path, path, config, provenance["batch_windows"], provenance, parts)
    engine = representation.engine(store, store.rows)
    features = next(Extraction(engine, representation.config.windowing).compute_parts(store, [store.rows]))
    return task, tuple(store.rows), features


def test_a_part_holds_the_bytes_that_the_main_process_computes(extraction):
    task, rows, expected = extraction
    for _ in range(2):  # tasks may run twice
        assert extraction_task.compute_part((task, 0, rows)) == 6
        np.testing.assert_array_equal(np.load(task.parts.folder / "part-00000000.npy"), expected)


def test_a_worker_with_another_engine_is_an_error(extraction):
    task, rows, _ = extraction
    other = replace(task, provenance={**task.provenance, "engine": {"name": "eager", "device": "NVIDIA H200"}})
    with pytest.raises(DigestMismatch, match=r"engine of this worker is .*'cpu'.*computed with .*'NVIDIA H200'"):
        extraction_task.compute_part((other, 0, rows))
