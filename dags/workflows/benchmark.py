"""The workflow of `python -m dags.benchmark`: an encoder and the benchmark sets, from audio to scores and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import model.compare
import model.extract
import model.probe
import model.report
import pipeline.ingest
from dags.config import BenchmarkSettings
from dags.workflow import Step, print_graph, run
from model.encoder import hub_models
from model.inference import checkpoints
from stores import extras, locations
from stores.errors import MissingArtifact
from stores.json_output import print_json
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec


def benchmark(settings: BenchmarkSettings) -> None:
    """Run the workflow, or print its graph.

    Raises:
        MissingArtifact, CorruptArtifact: the checkpoint cannot be read.
        StepFailed: a step ended with an error.
    """
    datasets = list(dict.fromkeys(settings.datasets))
    if settings.draw:
        encoder = Path(settings.checkpoint or Path("runs/NAME") / locations.ENCODER_FILE)
        print_graph(steps(datasets, encoder, settings), settings.json)
        return
    extras.require("report", "the page at the end of the benchmark")
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    print(f"encoder: {checkpoint}")
    encoder = checkpoint.path
    loaded = checkpoints.load(encoder)  # an encoder that cannot be used is rejected before hours of decoding
    results = run(steps(datasets, encoder, settings, loaded.mel, loaded.name), settings.json)
    if settings.json:
        print_json({"steps": results})


def steps(
    datasets: Sequence[str],
    encoder: Path,
    settings: BenchmarkSettings,
    mel: Mapping[str, Any] = MappingProxyType({}),
    run_name: str = "NAME",
) -> list[Step]:
    """Return the steps: for each dataset ingest, extract, and probe, then the comparison and the page.

    Args:
        datasets: names of benchmark sets. No dataset waits for another.
        encoder: a checkpoint in its run's folder.
        settings: of the workflow.
        mel: settings of the mels that the encoder was trained on (default: those that an ingest makes by default).
        run_name: name of the encoder, under which its scores are stored (default: a word for it, to be shown).

    Raises:
        MissingArtifact: --features has no embeddings of a dataset.
    """
    splits, root = settings.splits, settings.root
    other = {name: _embeddings(settings.features, name) for name in datasets}
    checkpoint = (f"--checkpoint={encoder}",)
    ingest_words = (*((f"--splits={splits}",) if splits else ()), *changed_ingest_flags(mel, MelSpec().to_dict()))
    ingest = {name: (name, *ingest_words, *((f"--root={root / name}",) if root else ())) for name in datasets}
    chains = [
        step
        for name in datasets
        for step in (
            Step(f"ingest-{name}", pipeline.ingest.main, ingest[name]),
            Step(f"extract-{name}", model.extract.main, (name, *checkpoint), (f"ingest-{name}",)),
            Step(
                f"probe-{name}",
                model.probe.main,
                (name, *checkpoint, "--grid", settings.grid, *other[name]),
                (f"extract-{name}",),
            ),
        )
    ]
    probed = tuple(f"probe-{name}" for name in datasets)
    last = [
        Step("compare", model.compare.main, (*datasets, f"--run={run_name}"), probed),
        Step("report", model.report.main, (*datasets, f"--run={run_name}"), probed),
    ]
    return [*chains, *last]


def _embeddings(folder: Path | None, dataset: str) -> tuple[str, ...]:
    """Return the words of `model.probe` for the embeddings of other models of a dataset."""
    if folder is None:
        return ()
    files = sorted(path for path in folder.glob(f"{dataset}.*") if path.suffix in (".npz", ".parquet"))
    if not files:
        raise MissingArtifact(f"{folder} has no embeddings of {dataset}; name them {dataset}.MODEL.npz or .parquet")
    return tuple(f"--features={path}" for path in files)
