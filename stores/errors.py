"""Everything Myna raises on purpose, in one tree.

    MynaError                    catch this to catch them all
    ├── InvalidInput             an argument or a configuration cannot be used as given
    ├── MissingArtifact          a store, shard set, checkpoint or score is not there; names the command that makes it
    ├── CorruptArtifact          something on disk is not what its own records say
    ├── DigestMismatch      two artefacts were made with settings that must not be mixed
    └── DecodeError             one audio file cannot become a mel; carries a reason class

Every message says what was given, what was needed and what to do.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable


class MynaError(Exception):
    """Base of all errors that Myna raises on purpose."""


class InvalidInput(MynaError):
    """An argument or a configuration cannot be used as given."""


class MissingArtifact(MynaError):
    """A store, shard set, checkpoint or score is not there."""


class CorruptArtifact(MynaError):
    """Something on disk is not what its own records say."""


class DigestMismatch(MynaError):
    """Two artefacts were made with settings that must not be mixed."""


class StepStopped(KeyboardInterrupt):
    """Ctrl-C that ended a step of a workflow, which has told it."""


class DecodeError(MynaError):
    """One audio file cannot become a mel.

    Attributes:
        reason: a short class for counting, one of `REJECTION_REASONS`.
        detail: the decoder's last words, or the numbers that decided.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        """Rebuild from both parts, so that it survives the trip between Dask's processes."""
        return DecodeError, (self.reason, self.detail)


REJECTION_REASONS = {
    "unreadable": "no decoder could open it, or it broke off in the middle of decoding",
    "no_audio": "it holds no audio stream, or one without samples",
    "too_short": "fewer samples than one analysis window needs",
    "too_long": "longer than the limit for one track",
    "not_finite": "samples hold NaN or infinity, or are so loud that their power is infinite",
    "silent": "no sample exceeds two steps of 16 bits; refused where clips are for training",
    "timeout": "decoding did not end within the limit for one track",
    "missing": "the file is not there, is not a regular file, or may not be read",
    "changed": "the file changed while it was read",
    "crashed": "the decoder crashed, or failed in a way that it should not; nothing else was harmed",
    "bad_name": "its name is not UTF-8, which is all that a manifest can hold",
}


_MACHINE_ERRORS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or have your quota raised",
    errno.EFBIG: "have the limit on the size of files raised",
    errno.EROFS: "choose a place where you may write",
    errno.EACCES: "choose a place where you may read and write",
    errno.EPERM: "choose a place where you may read and write",
    errno.EIO: "look after the disk",
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "close what holds so many files open",
}
"""What a machine may lack, and what to do; all other errors of the system are mistakes of ours, and show where."""


def exit_status(command: Callable[[], None]) -> int:
    """Run a command line's body; its exit status: 0, 2 after a `MynaError`, 130 after Ctrl-C, each told in a line.

    A full or broken disk, and a place where nobody may write, are told like a `MynaError`.
    """
    try:
        command()
    except MynaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        told = f"{error}; {_MACHINE_ERRORS[error.errno]}, then start the same command again: it goes on from there"
        print(f"error: {told}", file=sys.stderr)
        return 2
    except StepStopped:
        return 130
    except KeyboardInterrupt as stop:  # which may say where
        where = f" {stop}" if str(stop) else ""
        print(f"stopped{where}; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0
