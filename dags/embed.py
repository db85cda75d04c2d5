"""`python -m dags.embed FOLDER --checkpoint C --out X.parquet`: embed a folder of audio into one file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import EmbedSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: EmbedSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.embed import embed

        embed(settings)

    return run_command(EmbedSettings, arguments, "dags.embed", run)


if __name__ == "__main__":
    sys.exit(main())
