"""The work of `python -m model.export onnx --from samples`: one graph from samples to embeddings and probabilities."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.encoder import hub_models, weights
from model.encoder.known_models import KNOWN_MODELS
from model.inference import checkpoints
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.config import ExportSettings
from model.inference.engines import onnx
from model.inference.export_result import print_result
from model.inference.samples_graph import graph_file, validation
from model.inference.samples_graph.description import (
    EMBEDDING,
    GRAPH,
    INPUT,
    PERCENTILE,
    PROBABILITIES,
    TOP_LABEL,
    UNLIKE,
    WINDOW_PERCENTILES,
    WINDOW_PROBABILITIES,
    WINDOWS,
    GraphDescription,
    GraphInput,
    GraphOutput,
    GraphProbe,
    GraphWindows,
    file_sha256,
)
from model.inference.samples_graph.head import ProbeHead
from model.inference.samples_graph.module import SamplesModule
from model.inference.windows import Windowing
from model.probes import training_reference
from model.probes.encoder_match import features_of, require_probe_of, window_frames_of, windowing_of
from model.probes.probe import Probe
from stores.mel_flags import ResamplerName, resampler_name
from stores.mel_spec import MelSpec
from stores.terminal import print_progress

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "myna")


def export_graph(settings: ExportSettings) -> None:
    """Write a graph with its description, after a comparison with eager, and print the result as JSON.

    Raises:
        MynaError: the checkpoint or the probe cannot be read or do not belong together, a package is missing, or the
            graph is not accurate.
    """
    onnx.require()
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    probe = Probe.read(settings.with_probe) if settings.with_probe else None
    loaded = checkpoints.load(checkpoint.path, settings.published.patches, settings.published.input_scale)
    window_frames = settings.window_frames or window_frames_of(probe) or loaded.encoder.config.window_frames
    loaded = loaded.with_window(window_frames)
    windowing = windowing_of(probe, window_frames)
    if probe is not None and settings.with_probe is not None:
        require_probe_of(loaded, windowing, probe, settings.with_probe)
    precision = "int8" if settings.int8 else "fp32"
    target = settings.out or _default_folder(loaded, precision, settings.with_probe)
    print_progress(f"exporting {checkpoint} to {target} as a graph from samples in {precision}")
    description = _describe(loaded, windowing, precision, probe, settings.with_probe)
    print_result(settings, _build(target, loaded, windowing, description, probe))


def _build(
    target: Path, loaded: LoadedCheckpoint, windowing: Windowing, description: GraphDescription, probe: Probe | None
) -> dict[str, Any]:
    """Write the graph beside its place, compare it with eager, rename it to its place, and return the result."""
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        head = ProbeHead(probe).eval() if probe else None
        module, path = SamplesModule(loaded.encoder, loaded.mel_spec, windowing, head), building / GRAPH
        graph_file.write(module, description.outputs, path)
        if description.precision == "int8":
            graph_file.quantize(path, building / "int8.onnx")
            (building / "int8.onnx").replace(path)
        graph_file.describe(path, description.outputs, description.metadata())
        result = validation.compare(path, loaded.encoder, loaded.mel_spec, windowing, probe)
        result.require(description.precision)
        description = replace(description, sha256=file_sha256(path), validation=asdict(result))
        description.write(building)
    except BaseException:
        shutil.rmtree(building)
        raise
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    size = round((target / GRAPH).stat().st_size / 1e6, 1)
    return {"folder": str(target), "megabytes": size, **description.validation}


def _describe(
    loaded: LoadedCheckpoint, windowing: Windowing, precision: str, probe: Probe | None, file: Path | None
) -> GraphDescription:
    spec, config = loaded.mel_spec, loaded.encoder.config
    known = KNOWN_MODELS.get(str(loaded.origin.get("published")))
    return GraphDescription(
        input=_input(spec, resampler_name(loaded.mel.get("preprocessing", {}))),
        outputs=_outputs(config.embedding_width, probe),
        mel=spec.to_dict(),
        windows=GraphWindows(
            window_frames=windowing.window_frames,
            hop_frames=windowing.hop_frames,
            window_seconds=spec.seconds_for(windowing.window_frames),
            hop_seconds=spec.seconds_for(windowing.hop_frames),
            tail=windowing.tail,
            pooling="mean of the embeddings of all windows",
        ),
        encoder=config.to_dict(),
        checkpoint=loaded.name,
        weights=weights.digest(loaded.encoder),
        precision=precision,
        probe=_probe(probe, file),
        versions={name: version(name) for name in PACKAGES},
        license=known.license if known else None,
    )


def _input(spec: MelSpec, resampler: ResamplerName) -> GraphInput:
    return GraphInput(
        name=INPUT,
        type="float32",
        shape=("recordings", "samples"),
        sample_rate_hz=spec.sample_rate_hz,
        channels="mono, the mean of the channels",
        full_scale=1.0,
        min_samples=spec.min_samples,
        resampler=resampler,
    )


def _outputs(width: int, probe: Probe | None) -> tuple[GraphOutput, ...]:
    outputs = (
        GraphOutput(name=EMBEDDING, shape=("recordings", width), meaning="mean of the embeddings of the windows"),
        GraphOutput(name=WINDOWS, shape=("recordings", "windows", width), meaning="embedding of each window"),
    )
    if probe is None:
        return outputs
    count, kind = len(probe.metadata["classes"]), probe.metadata["kind"]
    meaning = {"tags": "probability of each tag", "numbers": "numbers"}.get(kind, "probability of each label")
    rows, windows = ("recordings",), ("recordings", "windows")
    texts = [
        (PROBABILITIES, (*rows, count), f"{meaning} for the recording"),
        (WINDOW_PROBABILITIES, (*windows, count), f"{meaning} for a window"),
    ]
    if kind not in ("tags", "numbers"):
        texts.append((TOP_LABEL, rows, "place of the predicted label among the labels"))
    if probe.reference is not None:
        nearer = "percentage of validation clips that are nearer to the training clips"
        texts.append((PERCENTILE, rows, nearer))
        texts.append((UNLIKE, rows, "true if no validation clip is as far from the training clips"))
        texts.append((WINDOW_PERCENTILES, windows, f"{nearer}, for a window"))
    return (*outputs, *(GraphOutput(name=name, shape=shape, meaning=text) for name, shape, text in texts))


def _probe(probe: Probe | None, file: Path | None) -> GraphProbe | None:
    if probe is None or file is None:
        return None
    pool = features_of(probe).get("pool", "mean")
    aggregations = {
        "mean": "the probe reads the mean of the embeddings of all windows",
        "none": "the probe reads each window; top_label is elected by song_vote, and all else is a mean over windows",
    }
    return GraphProbe(
        task=probe.metadata["task"],
        kind=probe.metadata["kind"],
        labels=tuple(probe.metadata["classes"]),
        aggregation=aggregations[pool],
        temperature=probe.temperature,
        song_vote=probe.metadata["vote"],
        sha256=file_sha256(file),
        pool=pool,
        unlike_remark=training_reference.UNLIKE if probe.reference else "",
    )


def _default_folder(loaded: LoadedCheckpoint, precision: str, probe: Path | None) -> Path:
    name = "-".join(["onnx-samples", *([] if precision == "fp32" else [precision]), *([probe.stem] if probe else [])])
    return loaded.path.with_suffix(".engines") / name
