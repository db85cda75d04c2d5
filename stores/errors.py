"""All errors that Myna raises on purpose, in one tree.

    MynaError                    the base class, to catch all of them
    ├── InvalidInput             an argument or a setting cannot be used
    ├── MissingArtifact          a store, shard set, checkpoint or score does not exist; names the command that makes it
    ├── CorruptArtifact          an artifact on disk contradicts its own records
    ├── DigestMismatch           two artifacts were made with settings that must not be mixed
    └── DecodeError              an audio file cannot become a mel; has a rejection reason

Each message says what is wrong with which value, what is accepted, and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable


class MynaError(Exception):
    """Base class of all errors that Myna raises on purpose."""


class InvalidInput(MynaError):
    """An argument or a setting cannot be used."""


class MissingArtifact(MynaError):
    """A store, shard set, checkpoint or score does not exist."""


class CorruptArtifact(MynaError):
    """An artifact on disk contradicts its own records."""


class DigestMismatch(MynaError):
    """Two artifacts were made with settings that must not be mixed."""


STATUS_INTERRUPTED, STATUS_STOPPED, STATUS_HUNG_UP = 130, 143, 129
"""Exit statuses of a command after Ctrl-C, after SIGTERM or SIGUSR1, and after SIGHUP: 128 and the number of SIGINT,
SIGTERM or SIGHUP."""


class StoppedBySignal(KeyboardInterrupt):
    """SIGTERM, SIGUSR1 or SIGHUP that ended a command after its work was saved.

    Attributes:
        status: exit status of the command.
    """

    def __init__(self, where: str = "", status: int = STATUS_STOPPED) -> None:
        super().__init__(*filter(None, [where]))
        self.status = status


class StepStopped(KeyboardInterrupt):
    """Ctrl-C or a signal that ended a step of a workflow, after the command of the step has reported it.

    Attributes:
        status: exit status of that command.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DecodeError(MynaError):
    """An audio file cannot become a mel.

    Attributes:
        reason: the class of the reason, one of `REJECTION_REASONS`.
        detail: the last messages of the decoder, or the numbers that led to the decision.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        """Rebuild the error from its two arguments, so that Dask can pass it between processes."""
        return DecodeError, (self.reason, self.detail)


REJECTION_REASONS = {
    "unreadable": "no decoder could open the file, or decoding broke off in the middle",
    "no_audio": "the file has no audio stream, or one without samples",
    "too_short": "fewer samples than one analysis window needs",
    "too_long": "longer than the limit for one track",
    "not_finite": "samples are NaN or infinite, or so loud that their power is infinite",
    "out_of_scale": "the RMS of the samples is over sqrt(2), where 1 is full scale; the detail says what to divide by",
    "channels_cancel": "the mean of the channels loses at least 60 dB or is silent, because their polarity is opposite",
    "silent": "no sample exceeds two steps of 16 bits; rejected in datasets that are for training",
    "timeout": "decoding did not end within the limit for one track",
    "missing": "the file does not exist, is not a regular file, or may not be read",
    "changed": "the file changed while it was read",
    "crashed": "the decoder crashed or failed in an unexpected way; other files are not affected",
    "bad_name": "the file name is not UTF-8, and a manifest can hold only UTF-8",
}


_MACHINE_ERRORS = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space, or ask for a larger quota",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EROFS: "choose a place where you may write",
    errno.EACCES: "choose a place where you may read and write",
    errno.EPERM: "choose a place where you may read and write",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "close programs that hold many files open",
}
"""System errors that the user can fix, with the advice. Any other system error is a bug and keeps its traceback."""


def exit_status(command: Callable[[], None]) -> int:
    """Run the body of a command and return its exit status: 0, 2 after a `MynaError`, or after a stop.

    The status is 130 after Ctrl-C, and 143 or 129 after a signal that a command fulfilled.

    An error or an interruption is reported in one line on standard error. A full or broken disk and a place without
    write permission are reported like a `MynaError`.
    """
    try:
        command()
    except MynaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        message = f"{error}; {_MACHINE_ERRORS[error.errno]}, then start the same command again to continue"
        print(f"error: {message}", file=sys.stderr)
        return 2
    except StepStopped as stopped:
        return stopped.status
    except KeyboardInterrupt as interruption:  # its argument, if any, says where the command stopped
        where = f" {interruption}" if str(interruption) else ""
        with contextlib.suppress(OSError):  # after SIGHUP, there may be no terminal
            print(f"stopped{where}; finished work is kept, start the same command again to continue", file=sys.stderr)
        return interruption.status if isinstance(interruption, StoppedBySignal) else STATUS_INTERRUPTED
    return 0
