"""`python -m dags.benchmark`: score an encoder on the benchmark sets of the paper, from audio to a page of scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import BenchmarkSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: BenchmarkSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.benchmark import benchmark

        benchmark(settings)

    return run_command(BenchmarkSettings, arguments, "dags.benchmark", run)


if __name__ == "__main__":
    sys.exit(main())
