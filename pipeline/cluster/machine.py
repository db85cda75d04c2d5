"""The processor, and the CPUs and the memory that this process may use.

These are those of the machine, less what affinity and cgroups withhold.

A container, a batch system and `systemd-run` limit a process through the cgroups that it belongs to. Linux counts CPUs
and memory as those of the whole machine in every other place. Both versions of cgroups are read, and the limits of all
enclosing groups count.
"""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from stores.labels import count_noun

PROCESS = Path("/proc/self")
"""Folder in which Linux describes this process."""
IDLE_WORKER_BYTES = 191_000_000
"""Memory that a worker uses before its first task, if it imports nothing but Dask, NumPy, Arrow and Zarr."""
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")
"""Entries of memory.stat whose memory the kernel frees on demand. In version 1, they are prefixed with `total_`."""


def usable_cpus(process: Path = PROCESS) -> int:
    """Return the number of CPUs that this process may use, at least 1. A share of a CPU counts as a whole one."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [math.ceil(share) for group in _groups(process, "cpu") for share in _cpu_share(group)]
    return max(1, min([cpus, *shares]))


def total_bytes(process: Path = PROCESS) -> int:
    """Return the memory of the machine, or the smallest limit of the cgroups of this process if that is less."""
    limits = [limit for group in _groups(process, "memory") for limit in _memory_limits(group)]
    return min([int(psutil.virtual_memory().total), *limits])


def available_bytes(process: Path = PROCESS) -> int:
    """Return the memory that this process and its children can still use without swapping."""
    free = [limit - _used_bytes(group) for group in _groups(process, "memory") for limit in _memory_limits(group)]
    return max(0, min([int(psutil.virtual_memory().available), *free]))


def processor_name(description: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor, with the threads that share a core.

    Args:
        description: file in which Linux describes the processors. Other systems have none, and state less.
    """
    text = "\n".join(_lines(description))
    name = re.search(r"model name\s*: (.*)", text)
    siblings, cores = re.search(r"siblings\s*: (\d+)", text), re.search(r"cpu cores\s*: (\d+)", text)
    threads = f", {count_noun(int(siblings[1]) // int(cores[1]), 'thread')} per core" if siblings and cores else ""
    return (name[1].strip() if name else platform.processor() or platform.machine()) + threads


def _groups(process: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the cgroups that limit `process` through a controller, from its own to the outermost."""
    for mount, root, own in _memberships(process, controller):
        relative = os.path.relpath(own, root)
        folder = mount if relative.startswith("..") else mount / relative  # outside of what a container sees
        while folder != mount.parent:
            yield folder
            folder = folder.parent


def _memberships(process: Path, controller: str) -> Iterator[tuple[Path, str, str]]:
    """Yield for both versions of cgroups: where the hierarchy is mounted, its group there, and the group of `process`.

    The lines of `cgroup` are `ID:CONTROLLERS:GROUP`, and version 2 has no controllers.
    """
    try:
        lines = (process / "cgroup").read_text().splitlines()
        mounts = [_parse_mount(line) for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:  # not Linux
        return
    for line in lines:
        _, names, own = line.split(":", 2)
        for root, folder, kind, options in mounts:
            is_version_1 = kind == "cgroup" and controller in names.split(",") and controller in options
            if is_version_1 or (kind == "cgroup2" and not names):
                yield Path(folder), root, own


def _parse_mount(line: str) -> tuple[str, str, str, list[str]]:
    """Return root, mount point, type and options of a line of `mountinfo`."""
    place, _, kind = line.partition(" - ")
    words, types = place.split(" "), kind.split(" ")
    return _unescape(words[3]), _unescape(words[4]), types[0], types[2].split(",")


def _unescape(text: str) -> str:
    """Return a path of `mountinfo` with its characters that are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _cpu_share(group: Path) -> Iterator[float]:
    """Yield the CPUs that a cgroup may use, if it has a limit. Version 2 writes `QUOTA PERIOD` in microseconds."""
    quota, period = _numbers(group / "cpu.max")[:2] or (0, 0)
    quota = quota or next(iter(_numbers(group / "cpu.cfs_quota_us")), 0)
    period = period or next(iter(_numbers(group / "cpu.cfs_period_us")), 0)
    if quota > 0 and period > 0:
        yield quota / period


def _memory_limits(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        yield from _numbers(group / name)


def _used_bytes(group: Path) -> int:
    """Return the memory of a cgroup that the kernel cannot free, in bytes."""
    used = [*_numbers(group / "memory.current"), *_numbers(group / "memory.usage_in_bytes"), 0][0]
    statistics = dict(line.split(" ", 1) for line in _lines(group / "memory.stat") if " " in line)
    cached = (statistics.get(f"total_{name}") or statistics.get(name) or "0" for name in _RECLAIMABLE)
    return max(0, used - sum(map(int, cached)))


def _numbers(file: Path) -> list[int]:
    """Return the numbers in the first line of a file; none if it does not exist or says `max`."""
    words = " ".join(_lines(file)[:1]).split()
    return [int(word) for word in words] if words and all(re.fullmatch(r"-?\d+", word) for word in words) else []


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
