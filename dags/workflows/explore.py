"""The workflow of `python -m dags.explore`: a folder of music becomes a page, without labels and without training.

    stores/NAME.zarr                             mels of the recordings
    stores/NAME.labels.csv                       the labels with splits, if --labels has none
    stores/NAME.ENCODER-windows.features.zarr    embeddings of all windows, for the map and for model.search
    stores/NAME.ENCODER.features.zarr            their means, for model.probe
    reports/NAME.html                            the page

Everything is kept. When the command is started again, it takes only files that are new or have changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import model.extract
import model.report
import pipeline.ingest
from dags.config import ExploreSettings
from dags.workflow import Step, print_graph, run
from model.encoder import hub_models
from model.inference import checkpoints
from pipeline.datasets import made_splits
from pipeline.datasets.label_table import LabelTable
from stores import extras, locations
from stores.errors import InvalidInput, MissingArtifact
from stores.json_output import print_json
from stores.labels import count_noun
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


def explore(settings: ExploreSettings) -> None:
    """Run the workflow, or print its graph.

    Raises:
        MissingArtifact: there is no such folder, table or encoder.
        InvalidInput: a setting or the table cannot be used.
        StepFailed: a step ended with an error, which it has printed.
    """
    if not settings.folder.is_dir():
        raise MissingArtifact(f"{settings.folder} is not a folder; name the folder that holds the audio")
    shares = made_splits.parse_shares(settings.split)
    name = settings.name or default_name(settings.folder)
    if settings.draw:
        print_graph(steps(settings, name, settings.labels, "ENCODER", {}), settings.json)
        return
    extras.require("report", "the page")
    encoder = _encoder(settings.checkpoint)
    loaded = checkpoints.load(encoder)
    labels = _labels(settings, name, shares)
    results = run(steps(settings, name, labels, loaded.name, loaded.mel, encoder), settings.json)
    print(f"\nopen {locations.report(name)} in a browser")
    print(f"`python -m model.search {name} FILE` finds recordings that sound like FILE")
    if settings.json:
        print_json({"page": str(locations.report(name)), "steps": results})


def steps(
    settings: ExploreSettings,
    name: str,
    labels: Path | None,
    encoder_name: str,
    mel: Mapping[str, Any],
    encoder: Path | None = None,
) -> list[Step]:
    """Return the steps in order.

    Args:
        settings: of the workflow.
        name: name of the collection.
        labels: table with splits; None without labels.
        encoder_name: name of the encoder in the paths of features.
        mel: settings of the mels that it was trained on.
        encoder: its checkpoint.
    """
    store = locations.mel_store(name)
    features = locations.STORES / f"{name}.{encoder_name}-windows.features.zarr"
    workers = () if settings.workers is None else ("--workers", str(settings.workers))
    table = () if labels is None else (f"--labels={labels}",)
    mel_words = changed_ingest_flags(mel, MelSpec().to_dict()) if mel else ()
    ingest = ("folder", f"--root={settings.folder}", f"--store={store}", *workers, *table, *mel_words)
    checkpoint = f"--checkpoint={encoder or settings.checkpoint}"
    page = (f"--features={features}", "--name", name, "--audio", str(settings.audio))
    return [
        Step("ingest", pipeline.ingest.main, ingest),
        Step("extract", model.extract.main, (checkpoint, "--pool", "none", "--", str(store)), ("ingest",)),
        Step("means", model.extract.main, (checkpoint, "--", str(store)), ("extract",)),
        Step("report", model.report.main, page, ("means",)),
    ]


def default_name(folder: Path) -> str:
    """Return the name of a folder with hyphens for all characters that names of artifacts cannot have.

    Raises:
        InvalidInput: nothing is left of it.
    """
    name = _NOT_IN_NAMES.sub("-", folder.resolve().name).strip("-_").lower()
    if not name:
        raise InvalidInput(f"the folder {folder} gives no name for the results; state one with --name")
    return locations.validate_name(name)


def _encoder(checkpoint: str | None) -> Path:
    """Return the encoder, and say what to state if there is none."""
    try:
        found = hub_models.find_checkpoint(checkpoint)
    except MissingArtifact as error:
        if checkpoint is not None:
            raise
        raise MissingArtifact(
            "no encoder is here yet; state --checkpoint with a run or a checkpoint, or with a network --checkpoint "
            "myna-hybrid, which downloads a published one"
        ) from error
    print(f"encoder: {found}")
    return found.path


def _labels(settings: ExploreSettings, name: str, shares: tuple[float, float, float]) -> Path | None:
    """Return the table of labels with splits, which are made if the table has none; None without labels."""
    if settings.labels is None:
        return None
    table = LabelTable.read(settings.labels)
    if made_splits.has_splits(table):
        return settings.labels
    made = made_splits.make(table, shares, settings.seed)
    path = locations.STORES / f"{name}.labels.csv"
    made.write(path)
    kept_whole = "" if made.groups_by == "file" else f", with each {made.groups_by} in one split"
    print(f"{path}: splits for {count_noun(len(made.rows), 'file')} by --split {settings.split}{kept_whole}")
    return path
