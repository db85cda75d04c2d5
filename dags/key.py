"""`python -m dags.key FOLDER --probe FILE --out keys.csv`: write the musical key of every recording of a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import KeySettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: KeySettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.key import write_keys

        write_keys(settings)

    return run_command(KeySettings, arguments, "dags.key", run)


if __name__ == "__main__":
    sys.exit(main())
