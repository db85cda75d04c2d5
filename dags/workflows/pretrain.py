"""The workflow of `python -m dags.pretrain`: from a collection of recordings to a trained encoder."""

from __future__ import annotations

from collections.abc import Sequence

import model.train
import pipeline.ingest
import pipeline.shard
from dags.config import PretrainSettings
from dags.workflow import Step, print_graph, run
from stores import locations
from stores.json_output import print_json


def pretrain(settings: PretrainSettings, ingest_words: Sequence[str], train_words: Sequence[str]) -> None:
    """Run the workflow, or print its graph.

    Args:
        settings: of the workflow.
        ingest_words: more words for `pipeline.ingest`.
        train_words: more words for `model.train`.

    Raises:
        StepFailed: a step ended with an error.
    """
    chain = steps(settings.dataset, ingest_words, train_words)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    results = run(chain, settings.json)
    if settings.json:
        print_json({"steps": results})


def steps(dataset: str, ingest_words: Sequence[str], train_words: Sequence[str]) -> list[Step]:
    """Return the steps in order.

    Args:
        dataset: what `pipeline.ingest` reads, for example `audioset`.
        ingest_words: more words for `pipeline.ingest`.
        train_words: more words for `model.train`.
    """
    store = str(locations.mel_store(dataset))
    return [
        Step("ingest", pipeline.ingest.main, (dataset, *ingest_words)),
        Step("shard", pipeline.shard.main, (store,), ("ingest",)),
        Step("train", model.train.main, ("--store", store, *train_words), ("shard",)),
    ]
