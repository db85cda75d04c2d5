"""`python -m dags.explore FOLDER`: a folder of music becomes one page with a map, sound and near-duplicates."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import ExploreSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ExploreSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.explore import explore

        explore(settings)

    return run_command(ExploreSettings, arguments, "dags.explore", run)


if __name__ == "__main__":
    sys.exit(main())
