"""`python -m dags.demo`: the whole chain on the demo corpus, from scores to a page, behind `make demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import model.extract
import model.probe
import model.report
import model.train
import pipeline.ingest
import pipeline.shard
from dags.workflow import Step, mermaid, run
from model.probes.config import GRIDS
from stores import locations
from stores.errors import exit_status

DATASET = "demo"


def steps(clips: int, train_steps: int, seed: int, batch: int = 512, name: str = "", grid: str = "quick") -> list[Step]:
    """The chain, in order.

    Args:
        clips: size of the corpus, clips of 10 s.
        train_steps: steps of training.
        seed: of the training run.
        batch: clips of a training step. It should be a good part of the corpus: only then does it hold several
            transpositions of one piece, and telling those apart is what makes the encoder listen to pitch.
        name: of the run; `demo-tiny-SEED` if empty.
        grid: of the probes: `quick`, or `full` for the paper's protocol.
    """
    store = str(locations.mel_store(DATASET))
    name = name or f"{DATASET}-tiny-{seed}"
    encoder = str(locations.run(name) / locations.ENCODER_FILE)
    training = ("--preset", "tiny", "--batch", str(batch), "--learning-rate", "2e-3", "--schedule", "cosine")
    length = ("--warmup-steps", "30", "--steps", str(train_steps), "--seed", str(seed))
    return [
        Step("ingest", pipeline.ingest.main, (DATASET, "--clips", str(clips))),
        Step("shard", pipeline.shard.main, (store,), ("ingest",)),
        Step("train", model.train.main, ("--store", store, "--name", name, *training, *length), ("shard",)),
        Step("extract", model.extract.main, (DATASET, "--checkpoint", encoder), ("ingest", "train")),
        Step("probe", model.probe.main, (DATASET, "--checkpoint", encoder, "--grid", grid), ("extract",)),
        Step("report", model.report.main, (DATASET, "--run", name), ("probe",)),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dags.demo", description="From scores to a page of scores.")
    parser.add_argument("--clips", type=int, default=1200, help="size of the corpus, clips of 10 s (1200)")
    parser.add_argument("--train-steps", type=int, default=300, help="steps of training (300)")
    parser.add_argument("--batch", type=int, default=512, help="clips of a training step (512)")
    parser.add_argument("--seed", type=int, default=0, help="of the training run (0)")
    parser.add_argument("--name", default="", help="of the run (demo-tiny-SEED); other settings need another name")
    parser.add_argument("--grid", choices=GRIDS, default="quick", help="probes to try; full is the paper's (quick)")
    parser.add_argument("--draw", action="store_true", help="print the graph as a Mermaid flow chart, run nothing")
    options = parser.parse_args(arguments)
    chain = steps(options.clips, options.train_steps, options.seed, options.batch, options.name, options.grid)
    if options.draw:
        print(mermaid(chain))
        return 0
    return exit_status(lambda: run(chain))


if __name__ == "__main__":
    sys.exit(main())
