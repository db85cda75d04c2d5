"""`python -m dags.sweep --store stores/NAME.zarr --over masking-ratio 0.5 0.75 0.9`: runs that differ in one setting.

For every value: train, extract, probe. The paper's Figure 4 is a sweep over `masking-ratio`, and its Table 2 is a sweep
over `batch`. A sweep that was interrupted goes on, and what is finished is not done again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import SweepSettings
from stores.command_line import run_command, split_words

EPILOG = """Words after --train are for model.train, for all runs. Their batch times their steps is the number of clips.
A run with another batch gets more or fewer steps, and its warm-up in proportion. All other settings are as stated:

    python -m dags.sweep --store demo --over batch 64 256 --train --preset tiny --batch 256 --steps 300"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    own, words = split_words(arguments, ("--train",))

    def run(settings: SweepSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.sweep import sweep

        sweep(settings, words["--train"])

    return run_command(SweepSettings, own, "dags.sweep", run, EPILOG)


if __name__ == "__main__":
    sys.exit(main())
