"""The page that describes the interface of a service. It makes no request and has no script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=PackageLoader("dags.service", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(description: Mapping[str, Any]) -> str:
    """Return the page for the description of a service."""
    return _ENVIRONMENT.get_template("api.html.j2").render(description)
