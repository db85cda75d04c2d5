"""`python -m dags.pretrain`: from a collection of recordings to a trained encoder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import model.train
import pipeline.ingest
import pipeline.shard
from dags.workflow import Step, mermaid, run
from stores import locations
from stores.errors import exit_status


def steps(dataset: str, ingest_options: Sequence[str], train_options: Sequence[str]) -> list[Step]:
    """The chain, in order.

    Args:
        dataset: what `pipeline.ingest` reads, e.g. `audioset`.
        ingest_options: more words for `pipeline.ingest`.
        train_options: more words for `model.train`.
    """
    store = str(locations.mel_store(dataset))
    return [
        Step("ingest", pipeline.ingest.main, (dataset, *ingest_options)),
        Step("shard", pipeline.shard.main, (store,), ("ingest",)),
        Step("train", model.train.main, ("--store", store, *train_options), ("shard",)),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        usage="python -m dags.pretrain [-h] [--draw] [DATASET] [--ingest WORD ...] [--train WORD ...]",
        description="From a collection of recordings to a trained encoder.",
        epilog="Words after --ingest are for pipeline.ingest, words after --train for model.train. The paper's run is "
        "`python -m dags.pretrain audioset --train --preset myna-hybrid`: its batch of 4,096, 100,000 steps and rate "
        "of 3e-4 are the defaults of model.train.",
    )
    parser.add_argument("dataset", nargs="?", default="audioset", help="what pipeline.ingest reads (audioset)")
    parser.add_argument("--draw", action="store_true", help="print the graph as a Mermaid flow chart, run nothing")
    words = list(sys.argv[1:] if arguments is None else arguments)
    own, ingest_options, train_options = _parted(words)
    options = parser.parse_args(own)
    chain = steps(options.dataset, ingest_options, train_options)
    if options.draw:
        print(mermaid(chain))
        return 0
    return exit_status(lambda: run(chain))


def _parted(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The words for this command, those after `--ingest`, and those after `--train`."""
    parts: dict[str, list[str]] = {"": [], "--ingest": [], "--train": []}
    part = ""
    for word in words:
        if word in parts:
            part = word
        else:
            parts[part].append(word)
    return parts[""], parts["--ingest"], parts["--train"]


if __name__ == "__main__":
    sys.exit(main())
