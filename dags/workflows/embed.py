"""`python -m dags.embed DIR --checkpoint C --out X.parquet`: a folder of audio becomes one file of embeddings.

Between the two lie a mel store and a feature store in `.X.parquet.work`, so that a workflow that was killed goes on;
they are removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import model.extract
import pipeline.ingest
from dags.workflow import Step, StepFailed, mermaid, run
from model.inference import checkpoints
from model.inference.engines.engine import ENGINES
from model.inference.extraction import ExtractionConfig
from model.inference.windows import POOLS, Windowing
from stores import feature_tables, locations
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact, exit_status
from stores.labels import count_noun
from stores.mel_store import MelStore
from stores.quantize import Quantizer


def steps(folder: Path, encoder: Path, out: Path, ingest_options: Sequence[str], options: Sequence[str]) -> list[Step]:
    """The chain, in order.

    Args:
        folder: of the audio.
        encoder: a checkpoint.
        out: the file to write; its suffix says which kind.
        ingest_options: more words for `pipeline.ingest`.
        options: more words for `model.extract`.
    """
    mel, features = work(out) / "mel.zarr", work(out) / "embeddings.features.zarr"
    # one word for an option and its path, and paths after --: a path may begin with a dash
    reading = ("folder", f"--root={folder}", f"--store={mel}", *ingest_options)
    written = (f"--checkpoint={encoder}", f"--out={features}", "--to", out.suffix[1:])
    embedding = (*written, *options, "--", str(mel))
    return [
        Step("ingest", pipeline.ingest.main, reading),
        Step("extract", model.extract.main, embedding, ("ingest",)),
    ]


def work(out: Path) -> Path:
    """Where what lies in between is kept."""
    return out.with_name(f".{out.name}.work")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dags.embed", description="A folder of audio becomes one file of embeddings."
    )
    parser.add_argument("folder", type=Path, help="folder of audio files")
    parser.add_argument(
        "--checkpoint",
        type=locations.checkpoint_path,
        help="encoder or run (default: that of the run that finished last)",
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write: NAME.parquet or NAME.npz")
    parser.add_argument("--pool", default="mean", choices=POOLS, help="mean: a row per file; none: per window (mean)")
    parser.add_argument("--hop", type=int, default=96, help="frames of 32 ms between two windows (96)")
    parser.add_argument("--engine", default="eager", choices=(*ENGINES, "auto"), help="what computes (eager)")
    parser.add_argument(
        "--dtype",
        default="float32",
        help="of the mel in between: float32, exact, 57.6 MB per hour before compression; uint16; uint8 (float32)",
    )
    parser.add_argument("--workers", type=int, help="processes that decode (default: one a core)")
    parser.add_argument("--draw", action="store_true", help="print the graph as a Mermaid flow chart, run nothing")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _embed(options))


def _embed(options: argparse.Namespace) -> None:
    if options.out.suffix[1:] not in feature_tables.KINDS:
        raise InvalidInput(f"--out is {options.out}; it must end in .{' or .'.join(feature_tables.KINDS)}")
    if not options.folder.is_dir():
        raise MissingArtifact(f"{options.folder} is not a folder; give the one that holds the audio")
    encoder = options.checkpoint or locations.latest_finished_encoder()
    ingest = ["--dtype", options.dtype, *([] if options.workers is None else ["--workers", str(options.workers)])]
    extract = ["--pool", options.pool, "--hop", str(options.hop), "--engine", options.engine]
    chain = steps(options.folder, encoder, options.out, ingest, extract)
    if options.draw:
        print(mermaid(chain))
        return
    _require_possible(encoder, options)
    between = work(options.out)
    try:
        run(chain)
    except StepFailed:
        if not _has_mel(between / "mel.zarr"):
            shutil.rmtree(between, ignore_errors=True)
        raise
    rows = MelStore.open(between / "mel.zarr").rows
    refused = sum(row.state == "refused" for row in rows)
    (between / f"embeddings{options.out.suffix}").replace(options.out)
    shutil.rmtree(between)
    print(f"{options.out}: {count_noun(len(rows) - refused, 'file')}; {refused} refused")


def _has_mel(store: Path) -> bool:
    """Whether a workflow that failed has something to go on with."""
    try:
        return any(row.state == "written" for row in MelStore.open(store, complete=False).merged_rows())
    except (MissingArtifact, CorruptArtifact):
        return False


def _require_possible(encoder: Path, options: argparse.Namespace) -> None:
    """Refuse what the last step would refuse before hours of decoding."""
    if options.workers is not None and options.workers < 1:
        raise InvalidInput(f"--workers is {options.workers}; at least one is needed")
    quantizer = Quantizer.from_dtype(options.dtype)
    asked = ExtractionConfig(options.engine, windowing=Windowing(options.hop, pool=options.pool))
    engine, _ = asked.open_engine(checkpoints.load(encoder), quantizer)
    engine.accepts_codes(quantizer)


if __name__ == "__main__":
    sys.exit(main())
