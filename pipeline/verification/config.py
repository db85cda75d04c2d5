"""Settings of the commands that check and draw stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Ge
from tyro.conf import Positional, UseAppendAction

from pipeline.cluster.config import ClusterSettings
from pipeline.ingestion.config import Limits
from stores.command_line import CommandSettings, shown
from stores.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class VerifySettings(CommandSettings):
    """Check mel stores, shard sets and feature stores for missing, corrupt and stale data, and print what is wrong."""

    paths: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH", help_behavior_hint="(required)")]
    """Mel stores (NAME.zarr), shard sets (NAME.shards) and feature stores (NAME.features.zarr), for example
    stores/demo.zarr. A mel store or a shard set may be a URL, for example s3://BUCKET/demo.shards."""
    repair: bool = False
    """Restore damaged data and decode changed audio again, then check again."""
    read_audio: bool = False
    """Compare all audio by digest. Otherwise only files whose size or time of change differs are read."""
    upgrade: bool = False
    """Convert mel stores of the previous format version to the present one, without decoding, and check nothing."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    limits: Limits = field(default_factory=Limits)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        """Check that there is a path."""
        super().__post_init__()
        if not self.paths:
            raise InvalidInput("no PATH was given; state at least one folder NAME.zarr or NAME.shards")


@dataclass(frozen=True, kw_only=True)
class PreviewSettings(CommandSettings):
    """Draw the mels of some clips of a store to a PNG file, with their labels."""

    store: Annotated[Positional[str], shown("STORE")]
    """Path of a mel store, or its name under stores/, for example stores/demo.zarr or demo."""
    clips: Annotated[int, Ge(1)] = 8
    """Number of clips to draw, spread evenly over the store."""
    id: Annotated[UseAppendAction[tuple[str, ...]], shown("ID")] = ()
    """Id of a clip to draw instead. The flag can be repeated."""
    out: Annotated[Path | None, shown("FILE", "STORE.png beside the store")] = None
    """PNG file to write."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
