"""A folder with a tiny run, the embeddings of a few clips and a probe, and the service that answers for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tiny
import torch
from small_stores import store_maker

from dags.config import ServeSettings
from dags.service import application, start
from dags.service.access import AccessRules
from dags.service.application import Service, UploadLimits
from dags.service.isolated_decoder import DecodingLimits, IsolatedDecoder
from model import extract
from model.inference import representations
from model.probes.evaluation.evaluate import find_winning_probe
from model.probes.results.winning_probe import write_winning_probe
from model.probes.training.grid_search import GridSearch
from stores.features import FeatureStore

WIDTH = 64
LENGTHS = [300, 240, 420, 150, 96, 200]


def write(folder, pool="none"):
    """Write the run `first`, the features `made`, and a probe of the labels key; the working directory is `folder`."""
    tiny.write_run(folder / "runs" / "first", tiny.train_config("hybrid"))
    (folder / "stores").mkdir(exist_ok=True)
    store_maker(folder)(LENGTHS, "stores/made.zarr")
    assert extract.main(["made", "--pool", pool, "--quiet"]) == 0
    write_probe(folder / "probe.safetensors")


def write_probe(path, task="key", checkpoint="runs/first/encoder.safetensors", width=WIDTH, **changes):
    """Write a probe of the embeddings of a checkpoint, with the given changes of its provenance."""
    representation = representations.of_checkpoint(Path(checkpoint))
    provenance = {**representation.settings, "representation": "first", "engine": {"layer": None}, "digest": "d"}
    separable = tiny.separable(60, width=width, noise=0.5)
    rows = separable.rows
    store = FeatureStore(separable.embeddings, rows, {**provenance, **changes})
    result = find_winning_probe(store, task, tiny.grid(hidden=(8,)), GridSearch(torch.device("cpu"), torch.float32))
    write_winning_probe(path, result, store.provenance, {"dataset": "made"})


def settings(**changes):
    """Return the settings of the service for what `write` has written."""
    return ServeSettings(**{"embeddings": "made", "probe": (Path("probe.safetensors"),), "quiet": True, **changes})


def open_service(folder, **changes):
    """Return a service; `close` ends it. Limits are small."""
    analysis, catalog = start.open_analysis(settings(**changes))
    limits = UploadLimits(1_000_000, 1.0, 20.0, 10.0, 1, 1)
    decoder = IsolatedDecoder(DecodingLimits(limits.max_seconds, limits.decode_seconds), 1)
    uploads = folder / "uploads"
    uploads.mkdir(exist_ok=True)
    return Service(analysis, catalog, decoder, limits, uploads, ThreadPoolExecutor(1))


def close(service):
    """End the processes and threads of a service."""
    service.decoder.close()
    service.embedding_thread.shutdown()


def application_of(service):
    """Return the whole application."""
    return AccessRules(application.build(service))
