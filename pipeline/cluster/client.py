"""The Dask client of a command: on a cluster of its own, in threads or processes, or on a running Dask scheduler."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from distributed import Client
from distributed.security import Security

from pipeline.cluster import environment, local
from pipeline.cluster.config import TlsSettings
from stores.errors import InvalidInput

_ADDRESSES = ("tcp://", "tls://")


@contextlib.contextmanager
def connect(
    scheduler: str, workers: int | None = None, *, tls: TlsSettings | None = None, single_thread: bool = False
) -> Iterator[Client]:
    """Yield a Dask client, and close the cluster that was started for it.

    Args:
        scheduler: `processes`, `threads`, or the address of a running scheduler, `tcp://HOST:PORT` or
            `tls://HOST:PORT`.
        workers: number of processes or threads to start; one for each usable core if None, as far as the memory
            suffices; not used with an address.
        tls: credentials for an address that begins with `tls://`.
        single_thread: start only one thread with the scheduler `threads`, for tasks that start threads of their own.

    Raises:
        InvalidInput: `scheduler` is unknown or does not answer, its credentials cannot be used, its workers have other
            code or packages, or `workers` is less than one.
    """
    if workers is not None and workers < 1:
        raise InvalidInput(f"--workers must be at least 1 (got {workers})")
    tls = tls or TlsSettings()
    if not is_local(scheduler):
        with _connect_to(scheduler, _credentials(scheduler, tls)) as client:
            environment.require_same(client)
            yield client
        return
    if scheduler not in ("processes", "threads"):
        raise InvalidInput(
            f"scheduler {scheduler!r} is unknown; use processes, threads, tcp://HOST:PORT or tls://HOST:PORT"
        )
    _require_unused(scheduler, tls)
    count = workers or local.default_workers()
    start = local.start_processes if scheduler == "processes" else local.start_threads
    with start(1 if single_thread and scheduler == "threads" else count) as cluster, Client(cluster) as client:
        yield client


def is_local(scheduler: str) -> bool:
    """Return whether `connect` starts the workers on this machine."""
    return not scheduler.startswith(_ADDRESSES)


def count_threads(client: Client) -> int:
    """Return the number of threads of all workers, which is the number of tasks that run at a time."""
    threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))


def _connect_to(address: str, security: Security | None) -> Client:
    try:
        return Client(address, security=security)
    except (OSError, ValueError) as error:  # ValueError: the address has no port
        raise InvalidInput(f"no Dask scheduler answers at {address}: {error}") from error


def _credentials(scheduler: str, tls: TlsSettings) -> Security | None:
    if not scheduler.startswith("tls://"):
        _require_unused(scheduler, tls)
        return None
    files = {"tls_ca_file": tls.tls_ca_file, "tls_client_cert": tls.tls_cert, "tls_client_key": tls.tls_key}
    security = Security(
        require_encryption=True, **{name: str(file) for name, file in files.items() if file is not None}
    )
    if not (security.tls_ca_file and security.tls_client_cert):
        raise InvalidInput(f"{scheduler} needs --tls-ca-file, --tls-cert and, if it is a file of its own, --tls-key")
    try:
        security.get_connection_args("client")
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"the credentials for {scheduler} cannot be used: {error}; --tls-ca-file, --tls-cert and --tls-key must "
            "name files in PEM format"
        ) from error
    return security


def _require_unused(scheduler: str, tls: TlsSettings) -> None:
    if tls != TlsSettings():
        raise InvalidInput(f"--tls-ca-file, --tls-cert and --tls-key are for tls://HOST:PORT (got {scheduler!r})")
