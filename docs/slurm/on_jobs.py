"""Run a command of Myna on workers that are Slurm jobs of their own, each of which starts when it gets a place.

    python docs/slurm/on_jobs.py --jobs 32 --time 04:00:00 pipeline.ingest audioset --root /data/audioset

The command begins with the first worker, and ends with its own status. It runs where this script is started, such as on
a login node, in a folder that all nodes see. Credentials for TLS are made for this run and removed with it. The script
needs dask-jobqueue, which the extra `distributed` brings.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dask_jobqueue import SLURMCluster
from distributed.security import Security

from pipeline.cluster.local import PrivateScheduler


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the jobs, run the command, and return its exit status."""
    settings = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix=".dask-", dir=Path.cwd()) as folder:  # readable by this user alone
        tls = _write_credentials(Path(folder))
        with SLURMCluster(
            cores=1,
            processes=1,
            memory=settings.memory,
            walltime=settings.time,
            queue=settings.partition,
            account=settings.account,
            job_name="myna-worker",
            log_directory=settings.logs,
            scheduler_options={"host": settings.host},
            protocol="tls://",
            security=_security(tls),
            scheduler_cls=PrivateScheduler,
            worker_extra_args=["--no-dashboard"],
        ) as cluster:
            cluster.scale(jobs=settings.jobs)
            words = [word for name, path in tls.items() for word in (f"--tls-{name}", path)]
            command = [*settings.command, "--scheduler", cluster.scheduler_address, *words]
            return subprocess.call([sys.executable, "-m", *command])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, required=True, help="number of jobs, each of which is one worker")
    parser.add_argument("--time", default="04:00:00", help="longest time of a job (default: 04:00:00)")
    parser.add_argument("--memory", default="2GB", help="memory of a job (default: 2GB)")
    parser.add_argument("--partition", help="partition of the jobs")
    parser.add_argument("--account", help="account that the jobs are charged to")
    parser.add_argument("--host", help="address of this machine that the nodes reach (default: its first one)")
    parser.add_argument("--logs", help="folder for the logs of the jobs (default: the present one)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="command of Myna, such as pipeline.ingest audioset")
    return parser


def _write_credentials(folder: Path) -> dict[str, str]:
    """Write new credentials for all processes of a cluster, and return the paths of `ca-file`, `cert` and `key`."""
    new = Security.temporary()
    contents = {"ca-file": new.tls_ca_file, "cert": new.tls_client_cert, "key": new.tls_client_key}
    for name, content in contents.items():
        (folder / f"{name}.pem").write_text(content)
    return {name: str(folder / f"{name}.pem") for name in contents}


def _security(tls: Mapping[str, str]) -> Security:
    """Return the settings of a scheduler, its workers and its clients, which all have the same credentials."""
    own = {f"tls_{role}_{name}": tls[name] for role in ("scheduler", "worker", "client") for name in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=tls["ca-file"], **own)


if __name__ == "__main__":
    sys.exit(main())
