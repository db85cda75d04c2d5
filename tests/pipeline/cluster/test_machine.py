"""Tests of the CPUs and the memory that a process may use: affinity, and cgroups of both versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

import pipeline
from pipeline.cluster.machine import available_bytes, processor_name, total_bytes, usable_cpus

ROOT = Path(pipeline.__file__).parents[1]
MIB = 1 << 20


def _process(folder, groups, mounts):
    """Write `cgroup` and `mountinfo` as /proc has them, and return their folder."""
    (folder / "proc").mkdir()
    (folder / "proc" / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    lines = [f"30 25 0:27 {root} {place} rw - {kind} {kind} rw,{options}\n" for root, place, kind, options in mounts]
    (folder / "proc" / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + "".join(lines))
    return folder / "proc"


def _write(group, **files):
    group.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (group / name.replace("__", ".")).write_text(f"{content}\n")


def _version_2(tmp_path, name="/system.slice/job.scope", root="/"):
    return _process(tmp_path, [f"0::{name}"], [(root, tmp_path / "cgroup", "cgroup2", "nsdelegate")])


def test_the_processor_has_a_name_on_linux_and_elsewhere(tmp_path):
    description = tmp_path / "cpuinfo"
    description.write_text("processor\t: 0\nmodel name\t: Sample 7 CPU\nsiblings\t: 4\ncpu cores\t: 2\n")
    assert processor_name(description) == "Sample 7 CPU, 2 threads per core"
    assert processor_name(tmp_path / "nothing") == (platform.processor() or platform.machine())


def test_without_limits_the_machine_counts(tmp_path):
    process = _version_2(tmp_path)
    _write(
        tmp_path / "cgroup" / "system.slice" / "job.scope", memory__max="max", memory__current=1, cpu__max="max 100000"
    )
    assert usable_cpus(process) == len(os.sched_getaffinity(0))
    assert total_bytes(process) == psutil.virtual_memory().total


def test_a_system_without_cgroups_has_no_limits(tmp_path):
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))
    assert 0 < available_bytes(tmp_path) <= total_bytes(tmp_path) == psutil.virtual_memory().total


def test_version_2_limits_of_the_group_and_of_all_groups_around_it_count(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    process = _version_2(tmp_path)
    outer = tmp_path / "cgroup" / "system.slice"
    _write(outer, memory__max=600 * MIB, memory__current=500 * MIB, memory__stat="inactive_file 0")
    statistics = f"anon 5\ninactive_file {30 * MIB}\nactive_file {20 * MIB}\nslab_reclaimable {50 * MIB}"
    _write(outer / "job.scope", memory__max=800 * MIB, memory__current=300 * MIB, memory__stat=statistics)
    _write(outer / "job.scope", cpu__max="250000 100000", memory__high="max")
    assert usable_cpus(process) == 3
    assert total_bytes(process) == 600 * MIB
    assert available_bytes(process) == 100 * MIB  # of the outer group; the inner one has 600 left
    _write(outer / "job.scope", memory__high=290 * MIB)
    assert available_bytes(process) == 90 * MIB
    _write(outer, cpu__max="50000 100000")
    assert usable_cpus(process) == 1


def test_version_1_limits_count(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    mounts = [("/", tmp_path / name, "cgroup", name) for name in ("memory", "cpu,cpuacct")]
    process = _process(tmp_path, ["4:memory:/job", "1:cpu,cpuacct:/job", "0::/"], mounts)
    _write(tmp_path / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=10**9)
    _write(tmp_path / "memory" / "job", memory__limit_in_bytes=300 * MIB, memory__usage_in_bytes=200 * MIB)
    _write(tmp_path / "memory" / "job", memory__stat=f"inactive_file 1\ntotal_inactive_file {50 * MIB}")
    _write(tmp_path / "cpu,cpuacct" / "job", cpu__cfs_quota_us=400000, cpu__cfs_period_us=100000)
    _write(tmp_path / "cpu,cpuacct", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert usable_cpus(process) == 4
    assert total_bytes(process) == 300 * MIB
    assert available_bytes(process) == 150 * MIB


@pytest.mark.parametrize(("own", "root"), [("/docker/abc", "/docker/abc"), ("/", "/"), ("/../../outside", "/")])
def test_the_group_of_a_container_is_found_at_the_mount(tmp_path, own, root):
    process = _version_2(tmp_path, own, root)
    _write(tmp_path / "cgroup", memory__max=256 * MIB, memory__current=MIB)
    assert total_bytes(process) == 256 * MIB
    assert available_bytes(process) == 255 * MIB


def test_more_memory_in_use_than_allowed_leaves_none(tmp_path):
    process = _version_2(tmp_path, "/")
    _write(tmp_path / "cgroup", memory__max=MIB, memory__current=2 * MIB)
    assert available_bytes(process) == 0


def _run_in(statement, prepare):
    code = f"import os; {prepare}; from pipeline.cluster import machine; print({statement})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_the_cpu_affinity_of_the_process_counts():
    first = min(os.sched_getaffinity(0))
    assert _run_in("machine.usable_cpus()", f"os.sched_setaffinity(0, {{{first}}})") == 1


@pytest.fixture
def memory_group():
    """A new cgroup of this kernel that allows 300 MiB."""
    for mount, name in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup") / mount / f"myna-test-{uuid.uuid4().hex}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / name).write_text(str(300 * MIB))
            yield group
            return
        except OSError:
            pass
        finally:
            group.rmdir()
    pytest.skip("no cgroup with a limit of memory can be made here")


def test_a_limit_of_the_kernel_counts(memory_group):
    enter = f"open({str(memory_group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
    assert _run_in("machine.total_bytes()", enter) == 300 * MIB
    assert 200 * MIB < _run_in("machine.available_bytes()", enter) < 300 * MIB
