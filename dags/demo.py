"""`python -m dags.demo`: run everything on the demo corpus, from scores to a page. This is what `make demo` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import DemoSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: DemoSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.demo import demo

        demo(settings)

    return run_command(DemoSettings, arguments, "dags.demo", run)


if __name__ == "__main__":
    sys.exit(main())
