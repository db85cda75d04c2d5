"""The workflow of `python -m dags.demo`: everything on the demo corpus, from rendered scores to a page."""

from __future__ import annotations

import model.extract
import model.probe
import model.report
import model.train
import pipeline.ingest
import pipeline.shard
from dags.config import DemoSettings
from dags.workflow import Step, print_graph, run
from model import shipped
from stores import extras, locations
from stores.json_output import print_json

DATASET, SHIPPED = "demo", "shipped"


def demo(settings: DemoSettings) -> None:
    """Run the workflow, or print its graph.

    Raises:
        StepFailed: a step ended with an error.
    """
    chain = steps(settings)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    extras.require("report", "the page at the end of the demo")
    results = run(chain, settings.json)
    if settings.json:
        print_json({"steps": results})


def steps(settings: DemoSettings) -> list[Step]:
    """Return the steps in order.

    The batch should be a good part of the corpus. Only then does it hold several transpositions of one piece, and
    telling those apart makes the encoder listen to pitch.
    """
    store = str(locations.mel_store(DATASET))
    name = settings.name or f"{DATASET}-tiny-{settings.seed}"
    encoder = str(locations.run(name) / locations.ENCODER_FILE)
    grid, seed = settings.grid, str(settings.seed)
    recipe = ("--preset", "tiny", "--batch", str(settings.batch), "--learning-rate", "2e-3", "--schedule", "cosine")
    length = ("--warmup-steps", "30", "--steps", str(settings.train_steps), "--seed", seed)
    features = str(locations.feature_store(DATASET, SHIPPED))
    to_shipped, with_shipped, extractions = (
        ("--out", features),
        ("--features", features),
        ("extract", "extract-shipped"),
    )
    return [
        Step("ingest", pipeline.ingest.main, (DATASET, "--clips", str(settings.clips))),
        Step("shard", pipeline.shard.main, (store,), ("ingest",)),
        Step("train", model.train.main, ("--store", store, "--name", name, *recipe, *length), ("shard",)),
        Step("extract", model.extract.main, (DATASET, "--checkpoint", encoder), ("ingest", "train")),
        Step("extract-shipped", model.extract.main, (DATASET, "--checkpoint", shipped.NAME, *to_shipped), ("ingest",)),
        Step("probe", model.probe.main, (DATASET, "--checkpoint", encoder, "--grid", grid, *with_shipped), extractions),
        Step("report", model.report.main, (DATASET, "--run", name), ("probe",)),
    ]
