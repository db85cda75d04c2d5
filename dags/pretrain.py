"""`python -m dags.pretrain`: train an encoder on a collection of recordings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import PretrainSettings
from stores.command_line import run_command, split_words

EPILOG = """Words after --ingest are for pipeline.ingest, and words after --train are for model.train:

    python -m dags.pretrain audioset --ingest --root /data/audioset --train --preset myna-hybrid

This is the paper's run. Its batch of 4,096 clips, 100,000 steps, and learning rate of 3e-4 are the defaults."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    own, words = split_words(arguments, ("--ingest", "--train"))

    def run(settings: PretrainSettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.pretrain import pretrain

        pretrain(settings, words["--ingest"], words["--train"])

    return run_command(PretrainSettings, own, "dags.pretrain", run, EPILOG)


if __name__ == "__main__":
    sys.exit(main())
