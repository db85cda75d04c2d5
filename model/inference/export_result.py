"""The result of `python -m model.export`: one line of JSON at the end, or with `--json` the only output."""

from __future__ import annotations

import json
from typing import Any

from model.inference.config import ExportSettings
from stores.json_output import print_json


def print_result(settings: ExportSettings, result: dict[str, Any]) -> None:
    """Print the result of an export."""
    if settings.json:
        print_json(result)
    else:
        print(json.dumps(result))
