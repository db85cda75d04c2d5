"""`python -m dags.findings`: train small encoders in many ways, and see which findings of the paper hold for them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import FindingsSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: FindingsSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.findings import findings

        findings(settings)

    return run_command(FindingsSettings, arguments, "dags.findings", run)


if __name__ == "__main__":
    sys.exit(main())
