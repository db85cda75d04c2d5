"""The page that describes the interface of a service. It makes no request and has no script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.page.template import environment

_ENVIRONMENT = environment("dags.service")


def render(description: Mapping[str, Any]) -> str:
    """Return the page for the description of a service."""
    return _ENVIRONMENT.get_template("api.html.j2").render(description)
