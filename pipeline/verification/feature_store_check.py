"""The check of a feature store. Its embeddings are restored by `model.extract`, because only an encoder can do so."""

from __future__ import annotations

from pathlib import Path

from pipeline.verification.mel_store_check import Finding
from stores import feature_integrity


def check(path: Path) -> list[Finding]:
    """Return what is wrong with the feature store at `path`. All its bytes are read."""
    return [Finding(kind, subject, detail) for kind, subject, detail in feature_integrity.find_damage(path)]
