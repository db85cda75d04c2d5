"""Everything Myna raises on purpose, in one tree.

    MynaError                    catch this to catch them all
    ├── InvalidInput             an argument or a configuration cannot be used as given
    ├── MissingArtefact          a store, shard set, checkpoint or score is not there; names the command that makes it
    ├── CorruptArtefact          something on disk is not what its own records say
    ├── FingerprintMismatch      two artefacts were made with settings that must not be mixed
    └── AudioRefused             one audio file cannot become a mel; carries a reason class

Every message says what was given, what was needed and what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


class MynaError(Exception):
    """Base of all errors that Myna raises on purpose."""


class InvalidInput(MynaError):
    """An argument or a configuration cannot be used as given."""


class MissingArtefact(MynaError):
    """A store, shard set, checkpoint or score is not there."""


class CorruptArtefact(MynaError):
    """Something on disk is not what its own records say."""


class FingerprintMismatch(MynaError):
    """Two artefacts were made with settings that must not be mixed."""


class AudioRefused(MynaError):
    """One audio file cannot become a mel.

    Attributes:
        reason: a short class for counting, one of `REFUSAL_REASONS`.
        detail: the decoder's last words, or the numbers that decided.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[AudioRefused], tuple[str, str]]:
        """Rebuild from both parts, so that it survives the trip between Dask's processes."""
        return AudioRefused, (self.reason, self.detail)


REFUSAL_REASONS = {
    "unreadable": "no decoder could open it, or it broke off in the middle of decoding",
    "no_audio": "it holds no audio stream, or one without samples",
    "too_short": "fewer samples than one analysis window needs",
    "too_long": "longer than the limit for one track",
    "not_finite": "samples hold NaN or infinity, or are so loud that their power is infinite",
    "silent": "no sample exceeds two steps of 16 bits; refused where clips are for training",
    "timeout": "decoding did not end within the limit for one track",
    "missing": "the file is not there, or is not a regular file",
}


def exit_status(command: Callable[[], None]) -> int:
    """Run a command line's body; its exit status: 0, 2 after a `MynaError`, 130 after Ctrl-C, each told in a line."""
    try:
        command()
    except MynaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0
