"""The work of `python -m model.export onnx --from samples`: one graph from samples to embeddings and probabilities."""

from __future__ import annotations

import json
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
from model.inference.encoder_representation import EncoderRepresentation
from model.inference.engines import onnx
from model.inference.extraction import ExtractionConfig
from model.inference.samples_graph import graph_file, validation
from model.inference.samples_graph.description import (
    EMBEDDING,
    GRAPH,
    INPUT,
    PROBABILITIES,
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
from model.probes.feature_match import require_match
from model.probes.probe import Probe
from stores.errors import InvalidInput
from stores.mel_flags import ResamplerName, resampler_name
from stores.mel_spec import MelSpec

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
    loaded = loaded.with_window(settings.window_frames or _window_of(probe) or loaded.encoder.config.window_frames)
    windowing = Windowing(window_frames=loaded.encoder.config.window_frames).with_window_of(_features_of(probe))
    if probe is not None:
        _require_probe_of(loaded, windowing, probe, settings)
    precision = "int8" if settings.int8 else "fp32"
    target = settings.out or _default_folder(loaded, precision, settings.with_probe)
    print(f"exporting {checkpoint} to {target} as a graph from samples in {precision}", flush=True)
    description = _describe(loaded, windowing, precision, probe, settings.with_probe)
    _build(target, loaded, windowing, description, probe)


def _build(
    target: Path, loaded: LoadedCheckpoint, windowing: Windowing, description: GraphDescription, probe: Probe | None
) -> None:
    """Write the graph beside its place, compare it with eager, and rename it to its place."""
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
        result = validation.compare(path, loaded.encoder, loaded.mel_spec, windowing, head)
        result.require(description.precision)
        description = replace(description, sha256=file_sha256(path), validation=asdict(result))
        description.write(building)
    except BaseException:
        shutil.rmtree(building)
        raise
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    size = round((target / GRAPH).stat().st_size / 1e6, 1)
    print(json.dumps({"folder": str(target), "megabytes": size, **description.validation}))


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
    return (
        *outputs,
        GraphOutput(name=PROBABILITIES, shape=("recordings", count), meaning=f"{meaning} for the recording"),
        GraphOutput(
            name=WINDOW_PROBABILITIES, shape=("recordings", "windows", count), meaning=f"{meaning} for a window"
        ),
    )


def _probe(probe: Probe | None, file: Path | None) -> GraphProbe | None:
    if probe is None or file is None:
        return None
    return GraphProbe(
        task=probe.metadata["task"],
        kind=probe.metadata["kind"],
        labels=tuple(probe.metadata["classes"]),
        aggregation="the probe reads the mean of the embeddings of all windows",
        temperature=probe.temperature,
        song_vote=probe.metadata["vote"],
        sha256=file_sha256(file),
    )


def _features_of(probe: Probe | None) -> dict[str, Any]:
    return dict(probe.metadata["features"]) if probe else {}


def _window_of(probe: Probe | None) -> int | None:
    window = _features_of(probe).get("window_frames")
    return window if type(window) is int and window > 0 else None


def _require_probe_of(loaded: LoadedCheckpoint, windowing: Windowing, probe: Probe, settings: ExportSettings) -> None:
    """Check that the probe was trained on the embeddings that the graph computes.

    Raises:
        DigestMismatch: it was trained on others. The message names each difference.
        InvalidInput: it does not state its encoder, or reads another width.
    """
    features = _features_of(probe)
    if "weights" not in features:
        raise InvalidInput(
            f"{settings.with_probe} was not trained on embeddings of an encoder of this project, and a graph computes "
            "those; choose a probe that `model.probe` has written for the representation `trained`"
        )
    representation = EncoderRepresentation.of(loaded, ExtractionConfig(windowing=windowing))
    stated = {**representation.settings, "engine": {"layer": None}, "mel": {"mel_spec": loaded.mel_spec.to_dict()}}
    require_match({**stated, "representation": representation.name}, features, loaded.path)
    width, (_, stop) = loaded.encoder.config.embedding_width, probe.metadata["columns"]
    if stop > width:
        raise InvalidInput(f"{settings.with_probe} reads {stop} numbers, and the encoder's embeddings have {width}")


def _default_folder(loaded: LoadedCheckpoint, precision: str, probe: Path | None) -> Path:
    name = "-".join(["onnx-samples", *([] if precision == "fp32" else [precision]), *([probe.stem] if probe else [])])
    return loaded.path.with_suffix(".engines") / name
