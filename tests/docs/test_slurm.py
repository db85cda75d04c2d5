"""The scripts for Slurm: their syntax, their flags, and whole jobs on this machine, where a script stands for srun."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from pipeline.cluster.config import OptionalClusterSettings
from pipeline.sharding.config import ShardSettings
from stores import locations
from stores.command_line import parse
from stores.shards import ShardSet

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "docs" / "slurm").glob("*.sh"))
SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do echo "$1" >> "$SRUN_LOG"; shift; done
exec "$@"
"""
SBATCH = """#!/bin/bash
script=$(mktemp "$SBATCH_LOG.XXXXXX")
cat "${@: -1}" > "$script"  # dask-jobqueue removes its file as soon as sbatch has ended
setsid bash "$script" > "$SRUN_LOG" 2>&1 &
echo "Submitted batch job $!"
grep '^#SBATCH' "$script" >> "$SBATCH_LOG"
"""
SCANCEL = "#!/bin/bash\nkill -- -$1\n"
SCONTROL = "#!/bin/bash\necho 127.0.0.1\necho other-node\n"
SBATCH_OPTIONS = {
    *("--job-name", "--ntasks", "--cpus-per-task", "--mem-per-cpu", "--time", "--signal", "--nodes"),
    *("--ntasks-per-node", "--gpus-per-node", "--requeue"),
}
"""Options that the manual page of sbatch lists."""


@lru_cache
def help_of(module):
    """Return what a Python module prints with --help."""
    words = [sys.executable, "-m", module, "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash_with_options_of_sbatch(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    options = re.findall(r"^#SBATCH (--[a-z-]+)", text, re.MULTILINE)
    assert len(options) >= 5
    assert set(options) <= SBATCH_OPTIONS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_flags_of_python_modules_exist(script):
    text = script.read_text().replace("\\\n", " ")
    tls = re.search(r"^tls=\((.*)\)$", text, re.MULTILINE)
    text = text.replace('"${tls[@]}"', tls[1] if tls else "")
    lines = re.findall(r"python -m (\S+)(.*?)(?: -m (model\.train).*)?(?: &)?$", text, re.MULTILINE)
    modules = [(module, words) for module, words, _ in lines if not module.startswith('"')]
    assert modules
    for module, words in modules:
        flags = set(re.findall(r"(?<![\w-])(--[a-z-]+)", words))
        assert flags
        assert {flag for flag in flags if flag not in help_of(module)} == set()


def test_the_flags_that_the_script_adds_to_a_command_are_accepted():
    words = ["made", "--scheduler", "tls://a:1", "--tls-ca-file", "a", "--tls-cert", "b", "--tls-key", "c"]
    cluster = parse(ShardSettings, words, "pipeline.shard").cluster
    assert isinstance(cluster, OptionalClusterSettings)
    assert (cluster.scheduler, cluster.tls.tls_key) == ("tls://a:1", Path("c"))


@pytest.fixture
def job(tmp_path, make_store, monkeypatch):
    """Return a function that runs a script as a job with a store in its folder."""
    make_store([96 + i for i in range(12)], "stores/made.zarr")
    (tmp_path / "bin").mkdir()
    python = f'#!/bin/bash\nexec {sys.executable} "$@"\n'
    scripts = {"srun": SRUN, "scontrol": SCONTROL, "sbatch": SBATCH, "scancel": SCANCEL, "python": python}
    for name, content in scripts.items():
        (tmp_path / "bin" / name).write_text(content)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(ROOT), "SRUN_LOG": str(tmp_path / "srun.log")}
    environment |= {"SBATCH_LOG": str(tmp_path / "sbatch.log")}
    environment |= {"MYNA_DASK_HOST": "127.0.0.1", "MYNA_DASK_PORT": port, "MYNA_RENDEZVOUS_PORT": port}

    def run(script, *words, **variables):
        program = sys.executable if script.endswith(".py") else "bash"
        command = [program, str(ROOT / "docs" / "slurm" / script), *words]
        options = {"capture_output": True, "text": True, "timeout": 200, "cwd": tmp_path, "check": False}
        return subprocess.run(command, env={**environment, **variables}, **options)

    return run


@pytest.mark.slow
def test_a_job_writes_shards_on_a_cluster_with_tls(job, tmp_path):
    finished = job("on_dask.sh", "pipeline.shard", "made", SLURM_NTASKS="2")
    assert finished.returncode == 0, finished.stderr
    assert ShardSet.open(locations.shards(Path("stores/made.zarr"))).clips == 12
    assert "--ntasks=1" in (tmp_path / "srun.log").read_text()
    assert not list(tmp_path.glob(".dask-*"))
    assert job("on_dask.sh", "pipeline.shard", "none", SLURM_NTASKS="2").returncode == 2


@pytest.mark.slow
def test_a_command_runs_on_workers_that_are_jobs_of_their_own(job, tmp_path):
    words = ("--jobs", "1", "--host", "127.0.0.1", "--time", "00:10:00", "--partition", "short")
    finished = job("on_jobs.py", *words, "pipeline.shard", "made")
    assert finished.returncode == 0, finished.stderr
    assert ShardSet.open(locations.shards(Path("stores/made.zarr"))).clips == 12
    options = set(re.findall(r"^#SBATCH (\S+ \S+)", (tmp_path / "sbatch.log").read_text(), re.MULTILINE))
    assert {"-t 00:10:00", "-p short", "-n 1"} <= options
    assert not list(tmp_path.glob(".dask-*"))
    assert job("on_jobs.py", *words, "pipeline.shard", "none").returncode == 2


@pytest.mark.slow
def test_a_job_trains_with_all_ranks_of_a_node(job):
    words = ["--store", "made", "--preset", "tiny", "--batch", "4", "--steps", "2", "--projection-width", "8"]
    variables = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2"}
    finished = job("train.sh", *words, "--name", "run", SLURM_JOB_ID="7", **variables)
    assert finished.returncode == 0, finished.stderr
    assert "finished after 2 steps" in finished.stdout
