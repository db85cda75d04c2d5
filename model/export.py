"""`python -m model.export WHAT`: an encoder becomes an engine, or a folder for the Hugging Face hub.

An engine is made beside its checkpoint, opened again in a fresh process, compared with eager there, and only published
if it is as good; the last line printed is JSON. `check` compares one that is there, e.g. on another machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.encoder import hub
from model.encoder.device import fastest_device
from model.encoder.hub import PretrainedFolder
from model.encoder.published import PATCHES
from model.inference import checkpoints
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.engines import export_validation, registry
from model.inference.engines.export import ExportPlan
from model.inference.engines.forward import PRECISIONS
from model.inference.engines.tensorrt_rtx import ParsedNetwork
from stores import locations
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, MynaError, exit_status
from stores.mel_store import MelStore
from stores.quantize import Quantizer

INPUTS = ("power", "codes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _COMMANDS.get(options.what, _export)(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.export", description="An encoder becomes an engine, or a folder for the hub."
    )
    parser.add_argument("what", choices=(*registry.EXPORTED, "hub", "check"), help="what to make, or `check` one")
    parser.add_argument(
        "--checkpoint",
        type=locations.checkpoint_path,
        help="encoder or run (default: that of the run that finished last; check: the one beside --out)",
    )
    parser.add_argument("--out", type=Path, help="folder (default: CHECKPOINT.engines/WHAT-PRECISION; hub: needed)")
    parser.add_argument(
        "--store", type=locations.store_path, help="mel store with the music to compare on (default: made up)"
    )
    parser.add_argument(
        "--precision", default="auto", choices=("auto", *PRECISIONS), help="auto: bf16 where faster, else fp32"
    )
    parser.add_argument("--input", choices=INPUTS, help="codes of the store, or power (codes for tensorrt, else power)")
    parser.add_argument("--largest", type=int, default=1024, help="windows of the largest batch (1024)")
    parser.add_argument("--usual", type=int, default=64, help="windows of the batch that kernels are chosen for (64)")
    parser.add_argument("--patches", default="auto", choices=PATCHES, help="of a published checkpoint (auto)")
    parser.add_argument("--input-scale", choices=("power", "log1p", "log"), help="of a published checkpoint (power)")
    return parser


def _export(options: argparse.Namespace) -> None:
    loaded = _loaded(options)
    precision = _precision(options)
    plan = ExportPlan(precision, options.largest, options.usual, _codes(options))
    target = options.out or registry.folder(loaded.path, options.what, precision)
    registry.require(options.what)
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    print(f"making {options.what} in {precision} of {loaded.path}, in {target}", flush=True)
    encoder = loaded.encoder.to(fastest_device())
    try:
        made = registry.export(encoder, options.what, plan, building)
    except MynaError:
        shutil.rmtree(building)
        raise
    compared = _checked_elsewhere(options, building)
    registry.with_parity(made, compared, building)
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    print(json.dumps({"engine": options.what, "precision": precision, "folder": str(target), **compared}))


def _check(options: argparse.Namespace) -> None:
    if options.out is None:
        raise InvalidInput("say which engine with --out FOLDER, the folder that holds its engine.json")
    chosen = options.checkpoint or registry.checkpoint_of(options.out) or locations.latest_finished_encoder()
    encoder = checkpoints.load(chosen, options.patches, options.input_scale).encoder.to(fastest_device())
    engine = registry.opened(options.out, encoder)
    store = MelStore.open(options.store) if options.store else None
    found = export_validation.compare(engine, encoder, store)
    print(json.dumps({"ran": True, "device": engine.facts.device, "versions": engine.facts.versions, **asdict(found)}))
    found.require()


def _hub(options: argparse.Namespace) -> None:
    if options.out is None:
        raise InvalidInput("say where with --out FOLDER; upload it with `hf upload OWNER/NAME FOLDER`")
    loaded = _loaded(options)
    hub.write(options.out, PretrainedFolder(loaded.encoder, loaded.mel, loaded.origin))
    print(json.dumps({"folder": str(options.out), "files": sorted(path.name for path in options.out.iterdir())}))


def _checked_elsewhere(options: argparse.Namespace, building: Path) -> dict[str, Any]:
    """How the engine compared, in a process that did not make it."""
    if options.what == "tensorrt-rtx" and fastest_device().type == "cpu":
        return {"ran": False, "why": "built, not run: no GPU here", **_inspected(building)}
    words = ["check", "--out", str(building), *(["--store", str(options.store)] if options.store else [])]
    words += [f"--checkpoint={options.checkpoint or locations.latest_finished_encoder()}", "--patches", options.patches]
    words += ["--input-scale", options.input_scale] if options.input_scale else []
    done = subprocess.run([sys.executable, "-m", "model.export", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CorruptArtifact(
            f"a fresh process could not use {building}, which is left there: "
            f"{(done.stderr or done.stdout).strip()[-2000:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _inspected(building: Path) -> dict[str, Any]:
    """What TensorRT says of the network that it built."""
    graph = ParsedNetwork(building / "encoder.onnx")
    return {"inputs": graph.inputs, "outputs": graph.outputs, "layers": sum(graph.layers.values())}


def _loaded(options: argparse.Namespace) -> LoadedCheckpoint:
    return checkpoints.load(
        options.checkpoint or locations.latest_finished_encoder(), options.patches, options.input_scale
    )


def _precision(options: argparse.Namespace) -> str:
    return registry.precision_of(options.what, options.precision)


def _codes(options: argparse.Namespace) -> Quantizer | None:
    """The quantiser whose codes the engine is to read."""
    if (options.input or ("codes" if options.what == "tensorrt" else "power")) == "power":
        return None
    quantizer = MelStore.open(options.store).quantizer if options.store else Quantizer()
    if quantizer.bits == 32:
        raise MissingArtifact(f"{options.store} stores power, there are no codes: leave --input codes out")
    return quantizer


_COMMANDS = {"check": _check, "hub": _hub}


if __name__ == "__main__":
    sys.exit(main())
