"""`python -m model.models`: list the published models, and which of them are on this disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.inference.config import ModelsSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ModelsSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.inference.model_list import print_models

        print_models(settings)

    return run_command(ModelsSettings, arguments, "model.models", run)


if __name__ == "__main__":
    sys.exit(main())
