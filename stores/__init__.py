"""The contract between the stages: what lies on disk, and the only code that reads or writes it."""

from stores.features import FeatureStore
from stores.mel_store import MelStore

__all__ = ["FeatureStore", "MelStore"]
