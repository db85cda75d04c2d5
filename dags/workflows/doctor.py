"""The work of `python -m dags.doctor`: what a report of a fault should state, and what cannot run here and why."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dags.config import DoctorSettings
from model import shipped
from model.encoder.device import fastest_device, fastest_precision
from pipeline.audio import ffmpeg, libav, resample, sndfile
from pipeline.cluster.machine import available_bytes, processor_name, usable_cpus
from stores import locations
from stores.errors import MynaError
from stores.extras import EXTRAS
from stores.json_output import print_json

PACKAGES = ("myna", "torch", "numpy", "zarr", "dask", "pyarrow", "safetensors")
OPTIONAL: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "the demo corpus (dags.demo, pipeline.ingest demo)": (("midirenderer", "mido", "music21"), "demo", ""),
    "pages and figures (model.report, dags.explore, pipeline.preview)": (EXTRAS["report"], "report", ""),
    "the HTTP service (dags.serve)": (EXTRAS["serve"], "serve", ""),
    "export to ONNX (model.export onnx)": (("onnx", "onnxruntime", "onnxscript"), "onnx", ""),
    "an index for model.search above 200,000 clips": (("usearch",), "search", ""),
    "audio on remote storage (--root s3://)": (("s3fs",), "remote", ""),
    "the datasets of mirdata (pipeline.ingest mirdata)": (("mirdata",), "mirdata", ""),
    "metrics for TensorBoard (model.metrics)": (("tensorboard",), "tensorboard", ""),
    "TensorRT (model.export tensorrt)": (("torch_tensorrt",), "tensorrt", "needs a GPU of NVIDIA"),
}
"""Abilities with the modules that they need, the extra that brings them, and a note."""


def examine(settings: DoctorSettings) -> None:
    """Print everything, as text or as one JSON object."""
    findings = report()
    if settings.json:
        print_json(findings)
        return
    print("\n".join(lines(findings)))


def report() -> dict[str, Any]:
    """Return what was found, as JSON values."""
    return {
        "versions": {"python": platform.python_version(), **_versions(PACKAGES)},
        "machine": _machine(),
        "decoders": {"libav": _say(libav.version), "libsndfile": _say(sndfile.version), "ffmpeg": _say(ffmpeg.version)}
        | {"resampler": resample.version("soxr")},
        "disk": _disk(),
        "encoder": _encoder(),
        "missing": {ability: remedy for ability in OPTIONAL if (remedy := _remedy(ability))},
    }


def lines(findings: Mapping[str, Any]) -> list[str]:
    """Return the report as lines of text."""
    text = []
    for part in ("versions", "machine", "decoders", "disk", "encoder"):
        text += [f"{part}:", *(f"  {name}: {value}" for name, value in findings[part].items())]
    missing = findings["missing"]
    text.append("missing:" if missing else "missing: nothing")
    return [*text, *(f"  {ability}: {remedy}" for ability, remedy in missing.items())]


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


def _machine() -> dict[str, Any]:
    device = fastest_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor_name()
    return {
        "system": f"{platform.system()} {platform.release()}" + ("" if sys.platform == "linux" else ", untested"),
        "device": f"{device.type} ({name})",
        "fastest precision": fastest_precision(),
        "usable cores": usable_cpus(),
        "available memory": f"{available_bytes() / 1e9:.1f} GB",
    }


def _say(version: Any) -> str:
    try:
        return str(version())
    except (MynaError, OSError) as error:
        return f"missing: {error}"


def _disk() -> dict[str, str]:
    sizes = {str(folder): _size_text(folder) for folder in (Path(locations.STORES), Path(locations.RUNS))}
    return {**sizes, "free here": f"{shutil.disk_usage('.').free / 1e9:.1f} GB"}


def _size_text(folder: Path) -> str:
    if not folder.is_dir():
        return "nothing yet"
    # in a checkout, the folder stores/ holds code too
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".typed"))
    return f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB"


def _encoder() -> dict[str, str]:
    try:
        return {"finished run": locations.only_finished_run()}
    except MynaError as error:
        used = f"none, so {shipped.NAME} is used, which ships with this package"
        return {"finished run": used if "no finished run" in str(error) else str(error)}


def _remedy(ability: str) -> str:
    modules, extra, note = OPTIONAL[ability]
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return f"{', '.join(absent)} not installed; pip install 'myna[{extra}]'" + (f" ({note})" if note else "")
