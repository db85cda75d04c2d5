"""Settings of sharding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge
from tyro.conf import Positional

from pipeline.cluster.config import OptionalClusterSettings
from stores.command_line import CommandSettings, shown


@dataclass(frozen=True, kw_only=True)
class ShardSettings(CommandSettings):
    """Convert a mel store to WebDataset shards in STORE.shards, for training."""

    store: Annotated[Positional[str], shown("STORE")]
    """Path of a mel store, or its name under stores/, for example stores/demo.zarr or demo."""
    format: Literal["myna", "stock"] = "myna"
    """myna writes the training clips, many to a sample, for model.train. stock writes every clip as a sample of its own
    with its labels and split, in STORE.stock, for other readers."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the shuffle of all clips."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    cluster: OptionalClusterSettings = field(default_factory=OptionalClusterSettings)
