"""The work of `python -m model.export`: convert an encoder to an inference engine, or to a folder for the hub.

An engine is made beside its checkpoint, opened in a new process, compared with eager there, and published only if it is
as accurate.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.encoder import hub, hub_models
from model.encoder.device import fastest_device
from model.encoder.hub import PretrainedFolder
from model.inference import checkpoints
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.config import ExportSettings
from model.inference.engines import export_validation, registry
from model.inference.engines.export import ExportPlan
from model.inference.engines.tensorrt_rtx import ParsedNetwork
from model.inference.export_result import print_result
from stores import digest, locations
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, MynaError
from stores.locations import FoundCheckpoint
from stores.mel_store import MelStore
from stores.quantize import Quantizer
from stores.terminal import print_progress

MAX_ERROR_CHARACTERS = 2000
"""Characters of a failed process's output that an error message repeats."""


def export(settings: ExportSettings) -> None:
    """Make an engine, compare an existing engine with eager, or write a folder for the hub.

    Raises:
        MynaError: the checkpoint cannot be read, the engine cannot be made on this machine, or it is not accurate.
    """
    if settings.what == "check":
        validate(settings)
    elif settings.what == "hub":
        _write_hub_folder(settings)
    else:
        _export_engine(settings, settings.what)


def validate(settings: ExportSettings) -> None:
    """Compare the engine in the folder `out` with eager, and print the result as JSON.

    Raises:
        InvalidInput: no folder is named, or the engine is not accurate.
        MissingArtifact, CorruptArtifact, DigestMismatch: the engine cannot be used on this machine.
    """
    if settings.out is None:
        raise InvalidInput("--out is required for check; name the folder that holds engine.json")
    beside = None if settings.checkpoint else registry.checkpoint_beside(settings.out)
    loaded = _load(settings, _find(str(beside) if beside else settings.checkpoint).path)
    encoder = loaded.encoder.to(fastest_device())
    engine = registry.open_exported(settings.out, encoder)
    store = MelStore.open(locations.store_path(settings.store)) if settings.store else None
    if store is not None:
        names = (f"the training data of {loaded.name}", str(store.path))
        digest.diff_settings(loaded.mel, store.value_settings(), names)
    validation = export_validation.compare(engine, encoder, store, loaded.mel_spec)
    machine = {"device": engine.settings.device, "versions": engine.settings.versions}
    print_result(settings, {"ran": True, **machine, **asdict(validation)})
    validation.require()


def _export_engine(settings: ExportSettings, name: str) -> None:
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    loaded = _load(settings, checkpoint.path)
    precision = registry.resolve_precision(name, settings.precision)
    plan = ExportPlan(precision, settings.largest, settings.usual, _input_quantizer(settings))
    window_frames = loaded.encoder.config.window_frames
    target = settings.out or registry.engine_folder(loaded.path, name, precision, window_frames)
    registry.require(name)
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    print_progress(f"exporting {checkpoint} to {target} as {name} in {precision}")
    try:
        exported = registry.export(loaded.encoder.to(fastest_device()), name, plan, building)
    except MynaError:
        shutil.rmtree(building)
        raise
    validation = _validate_in_new_process(settings, building)
    registry.record_validation(exported, validation, building)
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    print_result(settings, {"engine": name, "precision": precision, "folder": str(target), **validation})


def _write_hub_folder(settings: ExportSettings) -> None:
    if settings.out is None:
        raise InvalidInput("--out is required for hub; upload the folder with `hf upload OWNER/NAME FOLDER`")
    loaded = _load(settings, _find(settings.checkpoint).path)
    hub.write(settings.out, PretrainedFolder(loaded.encoder, loaded.mel, loaded.origin))
    files = sorted(path.name for path in settings.out.iterdir())
    print_result(settings, {"folder": str(settings.out), "files": files})


def _validate_in_new_process(settings: ExportSettings, folder: Path) -> dict[str, Any]:
    """Return the result of the comparison with eager, computed in a process that did not make the engine."""
    if settings.what == "tensorrt-rtx" and fastest_device().type == "cpu":
        return {"ran": False, "why": "built, not run: no GPU here", **_describe_network(folder)}
    process = subprocess.run(_validation_command(settings, folder), capture_output=True, text=True, check=False)
    if process.returncode:
        output = (process.stderr or process.stdout).strip()[-MAX_ERROR_CHARACTERS:]
        raise CorruptArtifact(f"the engine in {folder} failed its validation in a new process, and is kept: {output}")
    validation: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return validation


def _validation_command(settings: ExportSettings, folder: Path) -> list[str]:
    words = [f"--out={folder}", f"--checkpoint={hub_models.find_checkpoint(settings.checkpoint).path}"]
    words += [f"--patches={settings.published.patches}"]
    words += [f"--store={locations.store_path(settings.store)}"] if settings.store else []
    words += [f"--input-scale={settings.published.input_scale}"] if settings.published.input_scale else []
    words += [f"--window-frames={settings.window_frames}"] if settings.window_frames else []
    return [sys.executable, "-m", "model.export", "check", *words]


def _describe_network(folder: Path) -> dict[str, Any]:
    """Return the inputs, the outputs and the number of layers of the network that TensorRT has built."""
    network = ParsedNetwork(folder / "encoder.onnx")
    return {"inputs": network.inputs, "outputs": network.outputs, "layers": sum(network.layers.values())}


def _find(checkpoint: str | None) -> FoundCheckpoint:
    located = hub_models.find_checkpoint(checkpoint)
    print(f"encoder: {located}")
    return located


def _load(settings: ExportSettings, checkpoint: Path) -> LoadedCheckpoint:
    loaded = checkpoints.load(checkpoint, settings.published.patches, settings.published.input_scale)
    return loaded.with_window(settings.window_frames) if settings.window_frames else loaded


def _input_quantizer(settings: ExportSettings) -> Quantizer | None:
    """Return the quantizer whose codes are the engine's input; None for power."""
    if (settings.input or ("codes" if settings.what == "tensorrt" else "power")) == "power":
        return None
    if settings.store is None:
        return Quantizer()
    quantizer = MelStore.open(locations.store_path(settings.store)).quantizer
    if quantizer.bits == 32:
        raise MissingArtifact(f"{settings.store} holds power and no codes; use --input power")
    return quantizer
