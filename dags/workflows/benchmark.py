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
from dags.workflow import Step, mermaid, run
from model.encoder import hub_models
from model.inference import checkpoints
from stores import locations
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
        print(mermaid(steps(datasets, encoder, settings.grid, settings.splits, settings.root)))
        return
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    print(f"encoder: {checkpoint}")
    encoder = checkpoint.path
    mel = checkpoints.load(encoder).mel  # an encoder that cannot be used is rejected before hours of decoding
    run(steps(datasets, encoder, settings.grid, settings.splits, settings.root, mel))


def steps(
    datasets: Sequence[str],
    encoder: Path,
    grid: str = "full",
    splits: Path | None = None,
    root: Path | None = None,
    mel: Mapping[str, Any] = MappingProxyType({}),
) -> list[Step]:
    """Return the steps: for each dataset ingest, extract, and probe, then the comparison and the page.

    Args:
        datasets: names of benchmark sets. No dataset waits for another.
        encoder: a checkpoint in its run's folder.
        grid: grid of the probes: `full`, the paper's protocol, or `quick`.
        splits: folder with the published split files (default: downloaded).
        root: folder that holds the audio of each set in a folder of its name (default: where `ingest` looks).
        mel: settings of the mels that the encoder was trained on (default: those that an ingest makes by default).
    """
    checkpoint, run_name = (f"--checkpoint={encoder}",), encoder.resolve().parent.name
    ingest_words = (*((f"--splits={splits}",) if splits else ()), *changed_ingest_flags(mel, MelSpec().to_dict()))
    ingest = {name: (name, *ingest_words, *((f"--root={root / name}",) if root else ())) for name in datasets}
    chains = [
        step
        for name in datasets
        for step in (
            Step(f"ingest-{name}", pipeline.ingest.main, ingest[name]),
            Step(f"extract-{name}", model.extract.main, (name, *checkpoint), (f"ingest-{name}",)),
            Step(f"probe-{name}", model.probe.main, (name, *checkpoint, "--grid", grid), (f"extract-{name}",)),
        )
    ]
    probed = tuple(f"probe-{name}" for name in datasets)
    last = [
        Step("compare", model.compare.main, (*datasets, f"--run={run_name}"), probed),
        Step("report", model.report.main, (*datasets, f"--run={run_name}"), probed),
    ]
    return [*chains, *last]
