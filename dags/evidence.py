"""`python -m dags.evidence STUDY`: train on free recordings, and compare encoders on recordings never trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import EvidenceSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: EvidenceSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.evidence import evidence

        evidence(settings)

    return run_command(EvidenceSettings, arguments, "dags.evidence", run)


if __name__ == "__main__":
    sys.exit(main())
