"""`python -m model.search EMBEDDINGS QUERY`: find recordings that sound alike, or that are the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.similarity.config import SearchSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: SearchSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.similarity.search import search

        search(settings)

    return run_command(SearchSettings, arguments, "model.search", run)


if __name__ == "__main__":
    sys.exit(main())
