"""Memory of this process and of this machine, bytes."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Most memory that this process has had resident so far; where the system does not keep it, what it has now.

    Linux' VmHWM, not `getrusage`, whose maximum a new process inherits from the one that started it.
    """
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())):
        return int(found[1]) * 1024
    return int(psutil.Process().memory_info().rss)


def available_bytes() -> int:
    """Memory that can be used without swapping."""
    return int(psutil.virtual_memory().available)
