"""The page: one HTML file of sections that contains all styles, scripts and data and makes no request.

Text in titles, labels and paths stays text. The templates escape it, and JSON is written so that it cannot end its
script element. A Content-Security-Policy forbids every request, every script and style sheet other than those of this
package (by their SHA-256), and `eval`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import altair
import vl_convert

from model.page import template, theme
from model.page.verdict import Verdict

VEGA_LITE = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""Version of Vega-Lite that draws the charts, which is that of Altair's schema."""
_GLOBALS = "window.vegaEmbed = vegaEmbed; window.vega = vega;"
_RESERVED_IDS = ("content", "theme", "theme-light", "theme-dark")
"""Ids of the page's own elements."""
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Section:
    """One titled block of the page."""

    title: str
    """Title in plain text."""
    template: str
    """Name of the template of the body."""
    content: Mapping[str, Any]
    """Values that the template refers to by name."""
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Vega-Lite specifications by the id of the element (`PageChart`) that each is drawn into."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that scripts read, by the id of the element that holds them."""
    scripts: tuple[str, ...] = ()
    """Names of further scripts in `assets/`, which run before the page's own."""
    styles: tuple[str, ...] = ()
    """Names of further style sheets in `assets/`."""

    @property
    def body(self) -> str:
        """HTML below the title."""
        return template.render(self.template, **self.content)


def page(title: str, lead: str, sections: Sequence[Section], verdict: Verdict | None = None) -> str:
    """Return the whole document.

    Args:
        title: plain text.
        lead: plain text below the title.
        sections: from top to bottom.
        verdict: what the page says first; None for a page without a verdict.

    Raises:
        ValueError: two charts or data elements have the same id.
    """
    styles = [theme.style_sheet(), asset("page.css"), *_distinct_assets(section.styles for section in sections)]
    scripts = [bundle(), *_distinct_assets(section.scripts for section in sections), asset("page.js")]
    return template.render(
        "page",
        title=title,
        lead=lead,
        verdict=verdict,
        policy=_policy(styles, scripts),
        styles=styles,
        scripts=scripts,
        sections=list(zip(_anchors(sections), sections, strict=True)),
        data={name: safe_json(content) for name, content in _data_elements(sections).items()},
    )


@functools.cache
def bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    return str(vl_convert.javascript_bundle(_GLOBALS, VEGA_LITE))


@functools.cache
def asset(name: str) -> str:
    """Return the text of a style sheet or script in `assets/`."""
    return (resources.files("model.page") / "assets" / name).read_text("utf-8")


def safe_json(content: Any) -> str:
    """Return JSON without any character that is special to HTML or JavaScript, for use in a script element.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _distinct_assets(names: Iterable[Sequence[str]]) -> list[str]:
    return [asset(name) for name in dict.fromkeys(name for group in names for name in group)]


def _anchors(sections: Sequence[Section]) -> list[str]:
    """Return an id for each section: its title in lower case, or its number if the title gives none or a taken one."""
    taken = {*_RESERVED_IDS, *(name for section in sections for name in (*section.charts, *section.data))}
    anchors: list[str] = []
    for index, section in enumerate(sections):
        name = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
        anchors.append(name if name and name not in taken.union(anchors) else f"section-{index}")
    return anchors


def _data_elements(sections: Sequence[Section]) -> dict[str, Any]:
    elements: dict[str, Any] = {f"theme-{name}": theme.vega_config(value) for name, value in theme.THEMES.items()}
    groups = [{f"{name}-spec": spec for name, spec in section.charts.items()} for section in sections]
    for group in (*groups, *(section.data for section in sections)):
        if duplicates := sorted(set(group) & set(elements)):
            raise ValueError(f"two elements of the page have the id {', '.join(duplicates)}")
        elements |= group
    return elements


def _policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Sequence[str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
