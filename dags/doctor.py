"""`python -m dags.doctor`: print versions, devices, decoders, disk use, and what is missing for which command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import DoctorSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: DoctorSettings) -> None:
        """Import the checks when there is something to do, so that `--help` is fast."""
        from dags.workflows.doctor import examine

        examine(settings)

    return run_command(DoctorSettings, arguments, "dags.doctor", run)


if __name__ == "__main__":
    sys.exit(main())
