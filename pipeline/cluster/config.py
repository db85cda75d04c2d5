"""Settings of the commands that run tasks on a cluster. Nothing here imports Dask, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from stores.command_line import CheckedSettings, shown

SCHEDULERS = "processes|threads|tcp://HOST:PORT|tls://HOST:PORT"


@dataclass(frozen=True, kw_only=True)
class TlsSettings(CheckedSettings):
    """Only for a scheduler at tls://HOST:PORT. Clusters on this machine make credentials of their own."""

    tls_ca_file: Annotated[Path | None, shown("FILE", "that of Dask's configuration")] = None
    """Certificate of the authority that signed the certificates of the cluster, in PEM format."""
    tls_cert: Annotated[Path | None, shown("FILE", "that of Dask's configuration")] = None
    """Certificate of this client, in PEM format."""
    tls_key: Annotated[Path | None, shown("FILE", "in the file of --tls-cert")] = None
    """Private key of this client, in PEM format."""


@dataclass(frozen=True, kw_only=True)
class OptionalClusterSettings(CheckedSettings):
    """The processes that do the work."""

    scheduler: Annotated[str | None, shown(SCHEDULERS, "no cluster, only this process")] = None
    """Dask cluster: processes of this machine, a thread of this process, or the address of a running scheduler."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core, if the memory suffices")] = None
    """Processes or threads to start on this machine."""
    tls: TlsSettings = field(default_factory=TlsSettings)


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(OptionalClusterSettings):
    """The processes that do the work."""

    scheduler: Annotated[str, shown(SCHEDULERS)] = "processes"
    """Processes of this machine, threads of one process, or the address of a running Dask scheduler."""
