"""Jinja templates of the page. Every value is escaped, and an undefined name is an error.

`templates/elements.html.j2` holds the macros that sections share. Each section has a template of its own.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """Return the environment of the templates in the folder `templates` of a package."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


ENVIRONMENT = environment("model.page")


def render(name: str, **values: Any) -> str:
    """Return the HTML of a template.

    Args:
        name: file name in `templates/` without `.html.j2`.
        values: what the template refers to by name.
    """
    return ENVIRONMENT.get_template(f"{name}.html.j2").render(**values)
