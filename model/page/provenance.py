"""Origin of the numbers: settings, digests, versions, training time, and the commands that reproduce the page."""

from __future__ import annotations

import itertools
import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from model.page import formats
from model.page.document import Section
from model.page.elements import PageRow, PageTable
from model.page.run_results import PAPER, RunResults
from model.probes.config import GRIDS, QUICK
from model.training.config import TrainConfig, stated_settings
from stores import locations
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec

_PAUSE_SECONDS, _PAUSE_GAPS = 600.0, 10.0
"""A gap between two lines of metrics is a pause if it is longer than both: so many seconds, and so many median gaps."""


def section(results: RunResults) -> Section:
    """Return properties of the run, digests of what was probed, the commands, and all settings."""
    content = {
        "properties": properties(results),
        "probed": _probed_table(results),
        "representations": _representations_table(results),
        "commands": commands(results),
        "remarks": _missing_information(results),
        "settings": json.dumps(results.config.to_dict(), indent=2, ensure_ascii=False) if results.config else None,
    }
    return Section("Provenance", "provenance", content)


def properties(results: RunResults) -> dict[str, str]:
    """Return the main properties of the run by name; for an encoder from elsewhere, its name and versions only."""
    versions = "; ".join(_versions(results)) or "not recorded"
    if results.config is None:
        return {"encoder": f"{results.run}, not trained here", "versions": versions}
    config, rows = results.config, results.metrics
    speeds = [row["windows_per_second"] for row in rows if "windows_per_second" in row]
    encoder = config.encoder
    shape = f"{encoder.patches} patches, width {encoder.width}, depth {encoder.depth}, {encoder.heads} heads"
    return {
        "run": f"{results.run}, settings {config.digest()}",
        "trained on": f"{results.store or 'a store that was not recorded'}: {_training_clips(results, config)}",
        "encoder": f"{encoder.name}: {shape}",
        "mel": _mel(config.mel),
        "training": f"{config.objective.label}, batch {config.batch:,}, {config.steps:,} steps, {config.precision}",
        "time": duration(training_seconds(rows)) or "not recorded",
        "speed": f"{statistics.median(speeds):,.0f} windows per second (median)" if speeds else "not recorded",
        "versions": versions,
    }


def training_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the time between the lines of metrics without pauses, or 0 if the lines have no time."""
    times = [float(row["unix_seconds"]) for row in rows if "unix_seconds" in row]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    pause = max(_PAUSE_SECONDS, _PAUSE_GAPS * statistics.median(gaps)) if gaps else 0.0
    return sum(gap for gap in gaps if 0 < gap < pause)


def duration(seconds: float) -> str:
    """Return a duration in hours, minutes or seconds; empty for 0."""
    if not seconds:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def commands(results: RunResults) -> list[str]:
    """Return the commands from the audio of known datasets, or from mel stores, to this page."""
    config, weights = results.config, locations.run(results.run) / locations.ENCODER_FILE
    encoder = str(weights) if config or weights.is_file() else results.run
    of_paper = [name for name in dict.fromkeys((results.store, *results.datasets)) if name in PAPER]
    mel_words = changed_ingest_flags(config.mel, MelSpec().to_dict()) if config else ()
    lines = [shlex.join(["python", "-m", "pipeline.ingest", name, *mel_words]) for name in of_paper]
    lines += [train_command(results.run, results.store, config)] if config else []
    for dataset in results.datasets:
        extract = ["python", "-m", "model.extract", dataset, "--checkpoint", encoder]
        lines.append(shlex.join([*extract, *_engine_words(results.features[dataset].provenance)]))
        for grid in {scores.grid: None for scores in results.scores if scores.dataset == dataset}:
            probe = ["python", "-m", "model.probe", dataset, "--checkpoint", encoder]
            lines.append(shlex.join([*probe, *(("--grid", grid) if grid in GRIDS and grid != QUICK.name else ())]))
    scored = results.datasets if results.scores else ()
    return [*lines, shlex.join(["python", "-m", "model.report", *scored, "--run", results.run])]


def train_command(run: str, store: str, config: TrainConfig) -> str:
    """Return the command line of `model.train` with these settings. Defaults are left out.

    Args:
        run: name of the run.
        store: name of the mel store; empty if it was not recorded.
        config: settings of the run.
    """
    words = [
        "python",
        "-m",
        "model.train",
        "--store",
        str(locations.STORES / f"{store or 'STORE'}.zarr"),
        "--name",
        run,
    ]
    for name, value in stated_settings(config).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _missing_information(results: RunResults) -> list[str]:
    """Return sentences on what the run did not record, so that its commands lack it."""
    sentences = []
    ingested = [name for name in dict.fromkeys((results.store, *results.datasets)) if name and name not in PAPER]
    if ingested:
        sentences.append(
            f"How {', '.join(ingested)} was ingested is not recorded here: see pipeline.ingest in the README."
        )
    if "-" in results.store:
        sentences.append(
            "The names of several stores are joined by hyphens. If the run used several, give --store for each of them."
        )
    if any("neighbours" in row for row in results.metrics):
        sentences.append(
            "The store of k-NN validation during training is not recorded: add --check-store and --check-task."
        )
    if results.config and results.config.init:
        sentences.append(
            "The run was initialized with the weights of another checkpoint: add --init with its path. "
            f"The digest of these weights is {results.config.init}."
        )
    return sentences


def _training_clips(results: RunResults, config: TrainConfig) -> str:
    """Return the number of training clips with a mel. Clips without a mel were never used."""
    total, used = config.samples, results.trained_clips
    clips = f"{total:,} clips in its stores, including those without a mel"
    if used is not None:
        clips = f"{used:,} clips" if used == total else f"{used:,} clips with a mel, of {total:,} in its store"
    return f"{clips}, shards {config.shards}"


def _engine_words(provenance: Mapping[str, Any]) -> list[str]:
    """Return the flags of `model.extract` for the engine and the precision that were recorded."""
    name, precision = dict(provenance.get("engine", {})).get("name", "eager"), provenance.get("precision")
    engine = [] if name == "eager" else ["--engine", str(name)]
    return [*engine, *(["--precision", str(precision)] if precision else [])]


def _mel(settings: Mapping[str, Any]) -> str:
    spec = settings.get("mel_spec")
    if not isinstance(spec, Mapping):
        return "not recorded"
    return ", ".join(f"{name} {value:g}" for name, value in spec.items() if isinstance(value, int | float))


def _versions(results: RunResults) -> list[str]:
    """Return the versions of what decoded the audio and of what ran the encoder."""
    preprocessing = results.config.mel.get("preprocessing", {}) if results.config else {}
    versions = [str(decoder) for decoder in preprocessing.get("decoders", ())]
    versions += [str(preprocessing["resampler"])] if "resampler" in preprocessing else []
    for store in results.features.values():
        engine = store.provenance.get("engine", {})
        if isinstance(engine, Mapping):
            device = engine.get("device", "a device that was not recorded")
            versions.append(f"{engine.get('name', 'engine')} engine on {device}")
            versions += [f"{name} {version}" for name, version in dict(engine.get("versions", {})).items()]
    return list(dict.fromkeys(versions))


def _probed_table(results: RunResults) -> PageTable:
    rows = []
    for dataset in results.datasets:
        store = results.features[dataset]
        digests = (str(store.provenance.get(name, formats.MISSING)) for name in ("store_digest", "digest", "weights"))
        rows.append(PageRow((dataset, f"{len(store.clips):,}", *digests)))
    head = ("probed on", "clips", "mel store", "features", "weights")
    return PageTable(head, rows, "Digests of the probed data", of_words=True)


def _representations_table(results: RunResults) -> PageTable:
    rows = [
        PageRow((name, f"{scores.dataset} / {scores.task}", digest))
        for scores in results.scores
        for name, digest in scores.provenance.items()
    ]
    return PageTable(("representation", "task", "features"), rows, "Digests of features", of_words=True)
