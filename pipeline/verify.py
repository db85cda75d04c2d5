"""`python -m pipeline.verify PATH ...`: check mel stores and shard sets, and repair them with `--repair`.

Four things can be wrong. Missing: a file does not exist, or an ingest has not finished. Corrupt: bytes are not those
that were written. Stale: the audio of a clip, or the store of a shard set, has changed. Shared: a recording is in two
splits. `--upgrade` converts a store of the previous format version instead.

Exit status: 0 if everything is sound, 1 if something is wrong (with `--repair`: is still wrong), 2 after an error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.verification.config import VerifySettings
from stores.command_line import run_command

STATUS_WRONG = 1
"""Exit status if something is missing, corrupt or stale."""
EPILOG = "Exit status: 0 if everything is sound, 1 if something is wrong, 2 after an error."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    findings = 0

    def run(settings: VerifySettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from pipeline.verification.verify import verify

        nonlocal findings
        findings = verify(settings)

    return run_command(VerifySettings, arguments, "pipeline.verify", run, EPILOG) or (STATUS_WRONG if findings else 0)


if __name__ == "__main__":
    sys.exit(main())
