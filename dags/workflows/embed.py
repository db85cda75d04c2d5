"""The workflow of `python -m dags.embed`: a folder of audio becomes one file of embeddings.

A mel store and a feature store lie in `.OUT.work` beside the file, so that an interrupted workflow goes on. They are
removed at the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import model.extract
import pipeline.ingest
from dags.config import EmbedSettings
from dags.workflow import Step, StepFailed, print_graph, run
from model.encoder import hub_models
from model.inference import checkpoints
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.extraction import ExtractionConfig
from model.inference.layers import parse_layer
from model.inference.windows import Windowing
from pipeline.ingestion import mel_definition
from stores import feature_tables
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_output import print_json
from stores.labels import count_noun
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore


def embed(settings: EmbedSettings) -> None:
    """Run the workflow and print how many files were embedded, or print its graph.

    Raises:
        MissingArtifact: there is no such folder, or no checkpoint.
        InvalidInput: --out has another suffix, or the engine cannot do what is asked.
        StepFailed: a step ended with an error.
    """
    _require_paths(settings)
    encoder = _encoder(settings)
    if settings.draw:
        print_graph(steps(settings, encoder), settings.json)
        return
    loaded = checkpoints.load(encoder, settings.published.patches, settings.published.input_scale)
    _require_possible(loaded, settings)
    results = _run(steps(settings, encoder, loaded.mel), work_folder(settings.out), settings.json)
    counts = _finish(settings.out)
    if settings.json:
        print_json({"table": str(settings.out), **counts, "steps": results})


def steps(settings: EmbedSettings, encoder: Path, mel: Mapping[str, Any] = MappingProxyType({})) -> list[Step]:
    """Return the steps in order.

    Args:
        settings: of the workflow.
        encoder: a checkpoint.
        mel: settings of the mels that it was trained on (default: those that an ingest makes by default).
    """
    work = work_folder(settings.out)
    store, features = work / "mel.zarr", work / "embeddings.features.zarr"
    # one word for an option and its path, and paths after --, since a path may begin with a dash
    workers = () if settings.workers is None else ("--workers", str(settings.workers))
    ingest = ("folder", f"--root={settings.folder}", f"--store={store}", "--dtype", settings.dtype, *workers)
    ingest = (*ingest, *(() if settings.labels is None else (f"--labels={settings.labels}",)))
    ingest = (
        *ingest,
        f"--max-seconds={settings.limits.max_seconds}",
        f"--decode-seconds={settings.limits.decode_seconds}",
    )
    if settings.windows.compat is None:
        ingest = (*ingest, *changed_ingest_flags(mel, MelSpec().to_dict()))
    else:
        ingest = (*ingest, "--compat", settings.windows.compat)
    outputs = (f"--checkpoint={encoder}", f"--out={features}", "--to", settings.out.suffix[1:])
    return [
        Step("ingest", pipeline.ingest.main, ingest),
        Step("extract", model.extract.main, (*outputs, *_extract_words(settings), "--", str(store)), ("ingest",)),
    ]


def work_folder(out: Path) -> Path:
    """Return the folder of what lies between the audio and the file `out`."""
    return out.with_name(f".{out.name}.work")


def _extract_words(settings: EmbedSettings) -> Sequence[str]:
    windows, engine = settings.windows, settings.engine
    layer = () if engine.layer is None else ("--layer", engine.layer)
    lengths = {
        "--hop": windows.hop,
        "--window-frames": windows.window_frames,
        "--window-samples": windows.window_samples,
    }
    words = [word for flag, length in lengths.items() if length for word in (flag, str(length))]
    words += ["--pool", windows.pool, "--tail", windows.tail]
    words += ["--compat", windows.compat] if windows.compat else []
    words += ["--patches", settings.published.patches]
    words += ["--input-scale", settings.published.input_scale] if settings.published.input_scale else []
    return (*words, "--engine", engine.engine, "--precision", engine.precision, *layer)


def _encoder(settings: EmbedSettings) -> Path:
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    if not settings.draw:
        print(f"encoder: {checkpoint}")
    return checkpoint.path


def _require_paths(settings: EmbedSettings) -> None:
    if settings.out.suffix[1:] not in feature_tables.KINDS:
        raise InvalidInput(f"--out must end in .{' or .'.join(feature_tables.KINDS)} (got {settings.out})")
    if not settings.folder.is_dir():
        raise MissingArtifact(f"{settings.folder} is not a folder; name the folder that holds the audio")


def _require_possible(loaded: LoadedCheckpoint, settings: EmbedSettings) -> None:
    """Reject before hours of decoding what the last step would reject."""
    quantizer = mel_definition.quantizer(settings.dtype, loaded.mel_spec)
    windows, engine = settings.windows, settings.engine
    windowing = Windowing.of(windows, loaded.encoder.config, loaded.mel_spec)
    layer = parse_layer(engine.layer)
    config = ExtractionConfig(engine.engine, engine.precision, layer, windowing, compat=windows.compat)
    opened, _ = config.open_engine(loaded.with_window(windowing.window_frames), quantizer)
    opened.accepts_codes(quantizer)


def _run(chain: Sequence[Step], work: Path, as_json: bool) -> dict[str, Any]:
    try:
        return run(chain, as_json)
    except StepFailed:
        if not _has_mel(work / "mel.zarr"):
            shutil.rmtree(work, ignore_errors=True)
        raise


def _has_mel(store: Path) -> bool:
    """Return whether a workflow that failed left something to continue with."""
    try:
        return bool(MelStore.open(store, complete=False).merged_rows().in_state("written").any())
    except (MissingArtifact, CorruptArtifact):
        return False


def _finish(out: Path) -> dict[str, int]:
    """Move the file to its place, remove the work folder, and print and return how many files were embedded."""
    work = work_folder(out)
    rows = MelStore.open(work / "mel.zarr").rows
    written, rejected = (int(rows.in_state(state).sum()) for state in ("written", "refused"))
    (work / f"embeddings{out.suffix}").replace(out)
    shutil.rmtree(work)
    print(f"{out}: {count_noun(written, 'file')}; {rejected} rejected")
    return {"files": written, "rejected": rejected}
