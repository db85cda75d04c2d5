"""Digests of settings: two artefacts with the same digest may be mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(settings: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of `settings` as canonical JSON (sorted keys, no spaces).

    Raises:
        TypeError: if a value is not JSON.
    """
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
