"""`python -m model.extract DATASET`: embed a mel store with an encoder, and write a feature store."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.inference.config import ExtractSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ExtractSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.inference.extract import extract

        extract(settings)

    return run_command(ExtractSettings, arguments, "model.extract", run)


if __name__ == "__main__":
    sys.exit(main())
