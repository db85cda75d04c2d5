"""Where the numbers come from: settings, fingerprints, versions, hours, and the commands that make them again."""

from __future__ import annotations

import itertools
import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from model.encoder import config as encoders
from model.objectives import config as objectives
from model.objectives.config import ObjectiveConfig
from model.page import markup
from model.page.document import Section
from model.page.markup import Line
from model.page.run_results import PAPER, RunResults
from model.probes.config import GRIDS, QUICK
from model.probes.results.scores import Scores
from model.training.config import TrainConfig
from stores import locations

_FLAGS = (
    *("batch", "steps", "max_frame_distance", "masking_ratio", "masking", "projection_width", "optimizer"),
    *("learning_rate", "weight_decay", "clip_gradient_norm", "warmup_steps", "schedule", "precision", "seed"),
)
"""Settings of a run that are flags of `model.train` of the same name."""
_OBJECTIVE_FLAGS = ("temperature", "gamma", "gamma_decay_epochs", "rho", "temperature_learning_rate")
_IDLE_SECONDS, _IDLE_GAPS = 600.0, 10.0
"""A gap between two lines of metrics is a pause if it is longer than this, and than so many usual ones."""


def section(findings: RunResults) -> Section:
    """Facts, a table of what was probed on what, the commands and all settings."""
    body = markup.pairs(facts(findings)) + _probed(findings)
    body += markup.heading("To make it again") + markup.commands(commands(findings), "commands")
    body += "".join(markup.paragraph(one, quiet=True) for one in _missing(findings))
    settings = json.dumps(findings.config.to_dict(), indent=2, ensure_ascii=False)
    return Section("Provenance", body + markup.folded("All settings", markup.listing(settings, "settings")), {}, {})


def _missing(findings: RunResults) -> list[str]:
    """What the run did not note, so that its commands lack it."""
    told = []
    own = [name for name in dict.fromkeys((findings.store, *findings.datasets)) if name and name not in PAPER]
    if own:
        told.append(f"How {', '.join(own)} was ingested is not noted here: see pipeline.ingest in the README.")
    if "-" in findings.store:
        told.append("Names of several stores are joined by a hyphen; where they were several, give --store for each.")
    if any("neighbours" in row for row in findings.metrics):
        told.append("Neighbours were checked in training on a store not noted: add --check-store and --check-task.")
    if findings.config.init:
        begun = "The run began with the weights of another checkpoint; add --init with its path."
        told.append(f"{begun} Their digest is {findings.config.init}.")
    return told


def facts(findings: RunResults) -> dict[str, str]:
    """What a reader asks first, by name."""
    config, rows = findings.config, findings.metrics
    speeds = [row["windows_per_second"] for row in rows if "windows_per_second" in row]
    encoder = config.encoder
    shape = f"{encoder.patches} patches, width {encoder.width}, depth {encoder.depth}, {encoder.heads} heads"
    return {
        "run": f"{findings.run}, settings {config.digest()}",
        "trained on": f"{findings.store or 'a store that was not noted'}: {_trained_on(findings)}",
        "encoder": f"{encoder.name}: {shape}",
        "mel": _mel(config.mel),
        "training": f"{config.objective.name}, batch {config.batch:,}, {config.steps:,} steps, {config.precision}",
        "time": duration(training_seconds(rows)) or "not measured",
        "speed": f"{statistics.median(speeds):,.0f} windows a second (median)" if speeds else "not measured",
        "versions": "; ".join(_versions(findings)) or "not noted",
    }


def _trained_on(findings: RunResults) -> str:
    """Clips with a mel; those of the store without one were never seen."""
    every, seen = findings.config.samples, findings.trained_clips
    clips = f"{every:,} clips in its stores, with those that have no mel"
    if seen is not None:
        clips = f"{seen:,} clips" if seen == every else f"{seen:,} clips with a mel, of {every:,} in its store"
    return f"{clips}, shards {findings.config.shards}"


def training_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """Time between the lines of metrics, without pauses; 0 where lines have no time."""
    times = [float(row["unix_seconds"]) for row in rows if "unix_seconds" in row]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    longest = max(_IDLE_SECONDS, _IDLE_GAPS * statistics.median(gaps)) if gaps else 0.0
    return sum(gap for gap in gaps if 0 < gap < longest)


def duration(seconds: float) -> str:
    """Hours, minutes or seconds in words; empty for none."""
    if not seconds:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def commands(findings: RunResults) -> list[str]:
    """From audio, where a data set's name says where it lies, or from mel stores to this page."""
    encoder = str(locations.run(findings.run) / locations.ENCODER_FILE)
    named = [name for name in dict.fromkeys((findings.store, *findings.datasets)) if name in PAPER]
    lines = [shlex.join(["python", "-m", "pipeline.ingest", name]) for name in named]
    lines.append(train_command(findings.run, findings.store, findings.config))
    for dataset in findings.datasets:
        grid = next(one.grid for one in findings.scores if one.dataset == dataset)
        extract = ["python", "-m", "model.extract", dataset, "--checkpoint", encoder]
        lines.append(shlex.join([*extract, *_engine(findings.features[dataset].provenance)]))
        probe = ["python", "-m", "model.probe", dataset, "--checkpoint", encoder]
        lines.append(shlex.join([*probe, *(("--grid", grid) if grid in GRIDS and grid != QUICK.name else ())]))
    return [*lines, shlex.join(["python", "-m", "model.report", *findings.datasets, "--run", findings.run])]


def train_command(run: str, store: str, config: TrainConfig) -> str:
    """The words of `model.train` that give these settings; those that are its defaults are left out."""
    stores = ("--store", str(locations.STORES / f"{store or 'STORE'}.zarr"))
    words = ["python", "-m", "model.train", *stores, "--name", run, *_encoder(config)]
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    for name in _FLAGS:
        if (value := getattr(config, name)) != defaults[name] or name == "precision":
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *_objective(config.objective)])


def _engine(provenance: Mapping[str, Any]) -> list[str]:
    """What was computed how, where it was noted."""
    name, precision = dict(provenance.get("engine", {})).get("name", "eager"), provenance.get("precision")
    engine = [] if name == "eager" else ["--engine", str(name)]
    return [*engine, *(["--precision", str(precision)] if precision else [])]


def _encoder(config: TrainConfig) -> list[str]:
    name, scale = config.encoder.name, config.encoder.input_scale
    if name in encoders.PRESETS:
        return ["--preset", name]
    return ["--preset", name.removesuffix(f"-{scale}"), "--input-scale", scale]


def _objective(config: ObjectiveConfig) -> list[str]:
    words = ["--objective", config.name]
    known = objectives.PRESETS.get(config.name)
    for name in _OBJECTIVE_FLAGS:
        if known is None or getattr(config, name) != getattr(known, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    return words


def _mel(settings: Mapping[str, Any]) -> str:
    spec = settings.get("mel_spec")
    if not isinstance(spec, Mapping):
        return "not noted"
    return ", ".join(f"{name} {value:g}" for name, value in spec.items() if isinstance(value, int | float))


def _versions(findings: RunResults) -> list[str]:
    """Of what decoded the audio and ran the encoder."""
    made = findings.config.mel.get("preprocessing", {})
    found = [str(one) for one in made.get("decoders", ())] + [str(made[key]) for key in ("resampler",) if key in made]
    for store in findings.features.values():
        engine = store.provenance.get("engine", {})
        if isinstance(engine, Mapping):
            found.append(f"{engine.get('name', 'engine')} engine on {engine.get('device', 'a device not noted')}")
            found += [f"{name} {version}" for name, version in dict(engine.get("versions", {})).items()]
    return list(dict.fromkeys(found))


def _probed(findings: RunResults) -> str:
    head = ("probed on", "clips", "mel store", "features", "weights")
    lines = []
    for dataset in findings.datasets:
        store = findings.features[dataset]
        known = (str(store.provenance.get(name, markup.GONE)) for name in ("store_digest", "digest", "weights"))
        lines.append(Line((dataset, f"{len(store.clips):,}", *known)))
    below = markup.table(head, lines, "What was probed, by fingerprint", of_words=True)
    heads = ("representation", "task", "features")
    every = markup.table(heads, _digests(findings.scores), "Fingerprints of features", of_words=True)
    return below + markup.folded("All representations", every)


def _digests(scores: Sequence[Scores]) -> list[Line]:
    return [
        Line((name, f"{one.dataset} / {one.task}", digest)) for one in scores for name, digest in one.provenance.items()
    ]
