"""`python -m dags.benchmark`: an encoder and the benchmark sets of the paper, from audio to scores and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import model.compare
import model.extract
import model.probe
import model.report
import pipeline.ingest
from dags.workflow import Step, mermaid, run
from model.inference import checkpoints
from model.probes.config import GRIDS
from stores import locations
from stores.errors import InvalidInput, exit_status

DATASETS = ("magnatagatune", "gtzan", "giantsteps", "emomusic")
"""Those of the paper, in its order."""


def steps(
    datasets: Sequence[str], encoder: Path, grid: str = "full", splits: Path | None = None, root: Path | None = None
) -> list[Step]:
    """For each dataset its chain, in order; no dataset waits for another. Then all scores side by side, and one page.

    Args:
        datasets: names of benchmark sets.
        encoder: a checkpoint in its run's folder.
        grid: of the probes: `full`, the paper's protocol, or `quick`.
        splits: folder with the published split files; fetched if None.
        root: folder that holds the audio of each set in a folder of its name; where `ingest` looks if None.
    """
    chosen, run_name = (f"--checkpoint={encoder}",), encoder.resolve().parent.name
    given = (f"--splits={splits}",) if splits else ()
    ingest = {name: (name, *given, *((f"--root={root / name}",) if root else ())) for name in datasets}
    chains = [
        step
        for name in datasets
        for step in (
            Step(f"ingest-{name}", pipeline.ingest.main, ingest[name]),
            Step(f"extract-{name}", model.extract.main, (name, *chosen), (f"ingest-{name}",)),
            Step(f"probe-{name}", model.probe.main, (name, *chosen, "--grid", grid), (f"extract-{name}",)),
        )
    ]
    probed = tuple(f"probe-{name}" for name in datasets)
    last = [
        Step("compare", model.compare.main, (f"--run={run_name}",), probed),
        Step("report", model.report.main, (*datasets, f"--run={run_name}"), probed),
    ]
    return [*chains, *last]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dags.benchmark",
        description="An encoder and the benchmark sets, from audio to scores; audio is looked for in $MYNA_DATA/NAME, "
        "else data/NAME.",
    )
    parser.add_argument("datasets", nargs="*", default=list(DATASETS), help=f"benchmark sets ({' '.join(DATASETS)})")
    parser.add_argument(
        "--checkpoint",
        type=locations.checkpoint_path,
        help="encoder or run (default: that of the run that finished last)",
    )
    parser.add_argument("--grid", choices=GRIDS, default="full", help="probes to try: the paper's, or fewer (full)")
    parser.add_argument("--splits", type=Path, help="folder with JukeMIR's split files (default: fetched, checked)")
    parser.add_argument("--root", type=Path, help="folder with the audio of each set in ROOT/NAME ($MYNA_DATA or data)")
    parser.add_argument("--draw", action="store_true", help="print the graph as a Mermaid flow chart, run nothing")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _benchmark(options))


def _benchmark(options: argparse.Namespace) -> None:
    datasets = list(dict.fromkeys(options.datasets))
    if unknown := [name for name in datasets if name not in DATASETS]:
        raise InvalidInput(f"{' and '.join(unknown)}: no benchmark set; there are {', '.join(DATASETS)}")
    if options.draw:
        encoder = options.checkpoint or Path("runs/NAME") / locations.ENCODER_FILE
    else:
        encoder = options.checkpoint or locations.latest_finished_encoder()
        checkpoints.load(encoder)  # what it refuses is better refused before hours of decoding
    chain = steps(datasets, encoder, options.grid, options.splits, options.root)
    if options.draw:
        print(mermaid(chain))
    else:
        run(chain)


if __name__ == "__main__":
    sys.exit(main())
