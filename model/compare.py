"""`python -m model.compare`: print the scores of a run and their average as in the paper, or compare runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.probes.config import CompareSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: CompareSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.page.run_comparison import compare_runs
        from model.probes.compare import are_runs, compare

        compare_runs(settings) if are_runs(settings) else compare(settings)

    return run_command(CompareSettings, arguments, "model.compare", run)


if __name__ == "__main__":
    sys.exit(main())
