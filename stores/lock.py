"""Write locks: a file `.NAME.lock` beside a store, a shard set or a run states which process is writing it since when.

The operating system releases its lock on that file when the process ends, for any reason, so a process that has ended
on this host blocks no other. A file system that several hosts share may not pass such locks on. In that case the host
name in the file decides.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stores.commit import is_running
from stores.errors import InvalidInput
from stores.json_codec import parse_json

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def lock_file(path: Path) -> Path:
    """Return the path of the lock file of the artifact at `path`."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the artifact that is, or will be, at `path`.

    The lock of a process of this host that has ended is taken over.

    Raises:
        InvalidInput: another process holds the lock, or a process of another host left it. The message states its
            process id, its host and the time at which it began. It is also raised if the folder cannot be written.
        OSError: the disk is full.
    """
    file = lock_file(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(file)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}; choose a place where you may write") from error
    try:
        _write_holder(descriptor)
        yield
    finally:
        if _is_file(descriptor, file):
            file.unlink()
        os.close(descriptor)


def _acquire(file: Path) -> int:
    """Lock the file and return its descriptor. If its last holder has just removed the file, try again."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _require_free(descriptor, file)
            if _is_file(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _require_free(descriptor: int, file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_locked = True
    except BlockingIOError:
        raise _held_error(_holder(descriptor), file) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        is_locked = False  # without locks, the process id of the holder must be checked
    holder = _holder(descriptor)
    if holder and (holder["host"] != socket.gethostname() or (not is_locked and is_running(holder["pid"]))):
        raise _held_error(holder, file)


def _is_file(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _held_error(holder: dict[str, Any], file: Path) -> InvalidInput:
    name = file.name.removeprefix(".").removesuffix(".lock")
    process = f"process {holder['pid']} on host {holder['host']}{holder['since']}" if holder else "another process"
    if holder and holder["host"] != socket.gethostname():
        return InvalidInput(
            f"{name} is being written by {process}, and this host cannot check whether that process still runs; if it "
            f"does not, remove {file} and start again"
        )
    return InvalidInput(f"{name} is being written by {process}; wait for it or stop it, then start again")


def _holder(descriptor: int) -> dict[str, Any]:
    """Return process id, host and time in words of the lock file, or nothing if they were not written completely."""
    try:
        content = parse_json(os.pread(descriptor, 4096, 0))
        since = _in_words(content["since_unix_seconds"]) if "since_unix_seconds" in content else ""
        return {"pid": int(content["pid"]), "host": str(content["host"]), "since": since}
    except (ValueError, KeyError, TypeError, OverflowError):
        return {}


def _in_words(unix_seconds: int) -> str:
    return time.strftime(" since %Y-%m-%d %H:%M:%S UTC", time.gmtime(unix_seconds))


def _write_holder(descriptor: int) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since_unix_seconds": int(time.time())}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    os.fsync(descriptor)
