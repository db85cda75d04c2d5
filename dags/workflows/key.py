"""The workflow of `python -m dags.key`: a folder of audio becomes a table of keys with their probabilities.

The mel store, the features and the predictions lie in `.OUT.work` beside the table, so that an interrupted workflow
goes on. They are removed at the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

import model.extract
import model.predict
import pipeline.ingest
from dags.config import KeySettings
from dags.workflow import Step, print_graph, run
from model.encoder import hub_models
from model.inference import checkpoints
from model.probes import sequential_head
from model.probes.probe import Probe
from model.probes.results.predictions import PredictionFile
from stores import key_names
from stores.errors import InvalidInput, MissingArtifact
from stores.json_output import print_json
from stores.key_names import KeyFormat
from stores.labels import count_noun
from stores.mel_flags import changed_ingest_flags
from stores.mel_spec import MelSpec

TRANSPOSITIONS = "12"


def write_keys(settings: KeySettings) -> None:
    """Run the workflow and print how many keys were written, or print its graph.

    Raises:
        MissingArtifact: there is no such folder, checkpoint or probe.
        InvalidInput: the probe does not tell keys, or --out has another suffix.
        StepFailed: a step ended with an error.
    """
    output = PredictionFile(settings.out)
    if not settings.folder.is_dir():
        raise MissingArtifact(f"{settings.folder} is not a folder; name the folder that holds the audio")
    _require_key_probe(settings.probe)
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    chain = steps(settings, checkpoint.path)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    print(f"encoder: {checkpoint}")
    results = run(chain, settings.json)
    table = key_table(parquet.read_table(_work(settings.out) / "predictions.parquet"), settings.key_format)
    output.write(table)
    shutil.rmtree(_work(settings.out))
    print(f"{settings.out}: {count_noun(table.num_rows, 'key')}")
    if settings.json:
        print_json({"table": str(settings.out), "keys": table.num_rows, "steps": results})


def steps(settings: KeySettings, encoder: Path) -> list[Step]:
    """Return the steps in order."""
    work = _work(settings.out)
    store, features = work / "mel.zarr", work / "windows.features.zarr"
    loaded = checkpoints.load(encoder)
    workers = () if settings.workers is None else ("--workers", str(settings.workers))
    ingest = ("folder", f"--root={settings.folder}", f"--store={store}", *workers)
    ingest = (*ingest, *changed_ingest_flags(loaded.mel, MelSpec().to_dict()))
    averaged = settings.average_transpositions
    copies = ("--transpose", TRANSPOSITIONS, "--transpose-all") if averaged else ()
    lengths = {"--window-frames": settings.window_frames, "--hop": settings.hop}
    windows = [word for flag, length in lengths.items() if length for word in (flag, str(length))]
    extract = (f"--checkpoint={encoder}", f"--out={features}", "--pool", settings.pool, *windows, "--", str(store))
    predict = (f"--probe={settings.probe}", f"--out={work / 'predictions.parquet'}")
    predict = (*predict, *(("--average-transpositions",) if averaged else ()), "--", str(features))
    return [
        Step("ingest", pipeline.ingest.main, (*ingest, *copies)),
        Step("extract", model.extract.main, extract, ("ingest",)),
        Step("predict", model.predict.main, predict, ("extract",)),
    ]


def key_table(predictions: pa.Table, key_format: KeyFormat) -> pa.Table:
    """Return a table with `path`, `key` and `probability`, one row for each recording.

    Args:
        predictions: output of `model.predict`, whose rows may be windows of a recording with the same prediction.
        key_format: spelling of the keys.
    """
    rows: dict[str, tuple[str, float]] = {}
    names = ("id", "prediction", "probability")
    for name, label, probability in zip(*(predictions.column(each).to_pylist() for each in names), strict=True):
        rows.setdefault(name, (label, probability))
    keys = [key_names.parse_key(label) for label, _ in rows.values()]
    written = [key_names.key_name(key, key_format) for key in keys if key]
    return pa.table({"path": list(rows), "key": written, "probability": [value for _, value in rows.values()]})


def _require_key_probe(path: Path) -> None:
    probe = sequential_head.read(path) if path.suffix in sequential_head.SUFFIXES else Probe.read(path)
    if probe.metadata["kind"] != "key":
        task: Sequence[str] = probe.metadata["classes"]
        raise InvalidInput(f"{path} predicts {probe.metadata['task']}, such as {task[0]!r}, and no keys")


def _work(out: Path) -> Path:
    return out.with_name(f".{out.name}.work")
