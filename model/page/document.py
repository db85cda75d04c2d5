"""The page: one HTML file of sections, with all styles, scripts and data inside it; it fetches nothing.

Whatever stands in titles, labels and paths stays text: bodies are made by this package, which escapes what is foreign
(`markup`), and JSON is written so that it cannot end its script element. A Content-Security-Policy forbids every
request, every script and every style sheet but those of this package, by their SHA-256, and `eval`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

import altair
import vl_convert

from model.page import theme

VEGA_LITE = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""Version of Vega-Lite that draws: that of the schema by which Altair checked the charts."""
_GLOBALS = "window.vegaEmbed = vegaEmbed; window.vega = vega;"
_NAMED = ("content", "theme", "theme-light", "theme-dark")
"""Elements of the page itself."""
_ESCAPES = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Section:
    """One card of the page."""

    title: str
    """Plain text."""
    body: str
    """HTML, made by this package only."""
    charts: Mapping[str, Mapping[str, Any]]
    """Vega-Lite charts by the id of the element `<div class="chart">` that each is drawn into."""
    data: Mapping[str, Any]
    """What scripts read, JSON, by the id of its element."""
    scripts: tuple[str, ...] = ()
    """Names of further assets, run before the page's own."""
    styles: tuple[str, ...] = ()
    """Names of further assets."""


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole document; `title` and `lead` are plain text.

    Raises:
        ValueError: two charts or data of sections have one id.
    """
    names = dict.fromkeys(name for one in sections for name in one.styles)
    styles = [theme.style_sheet(), asset("page.css"), *map(asset, names)]
    names = dict.fromkeys(name for one in sections for name in one.scripts)
    scripts = [bundle(), *map(asset, names), asset("page.js")]
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(styles, scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n" + "".join(f"<style>{one}</style>\n" for one in styles)
    )
    after = _data_elements(sections) + "".join(f"<script>{one}</script>\n" for one in scripts)
    body = _body(title, lead, sections)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}</head>\n<body>\n{body}{after}</body>\n</html>\n'


@functools.cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return str(vl_convert.javascript_bundle(_GLOBALS, VEGA_LITE))


@functools.cache
def asset(name: str) -> str:
    """A style sheet or script of this package."""
    return (resources.files("model.page") / "assets" / name).read_text("utf-8")


def safe_json(content: Any) -> str:
    """JSON that may stand in a script element: no character in it is special to HTML or JavaScript."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _body(title: str, lead: str, sections: Sequence[Section]) -> str:
    names = _anchors(sections)
    links = "".join(
        f'<li><a href="#{name}">{escape(one.title)}</a></li>' for name, one in zip(names, sections, strict=True)
    )
    cards = "\n".join(_card(name, one) for name, one in zip(names, sections, strict=True))
    return (
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header><h1>{escape(title)}</h1><button id="theme" type="button" hidden>Theme: auto</button>'
        f'<p class="lead">{escape(lead)}</p></header>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        '<noscript><p class="notice">Charts need JavaScript; all their numbers are in the tables.</p></noscript>\n'
        f'<main id="content" tabindex="-1">\n{cards}\n</main>\n'
    )


def _anchors(sections: Sequence[Section]) -> list[str]:
    """A name that one can link to for each section: its title's letters; a number where there are none, or others'."""
    found: list[str] = []
    for place, one in enumerate(sections):
        name = re.sub(r"[^a-z0-9]+", "-", one.title.lower()).strip("-")
        taken = {*found, *_NAMED, *(drawn for other in sections for drawn in (*other.charts, *other.data))}
        found.append(name if name and name not in taken else f"section-{place}")
    return found


def _card(name: str, section: Section) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(section.title)}</h2>\n'
        f"{section.body}</section>"
    )


def _data_elements(sections: Sequence[Section]) -> str:
    found: dict[str, Any] = {}
    own: Mapping[str, Any] = {
        "theme-light": theme.vega_config(theme.LIGHT),
        "theme-dark": theme.vega_config(theme.DARK),
    }
    specs = [{f"{name}-spec": spec for name, spec in section.charts.items()} for section in sections]
    for one in (own, *specs, *(section.data for section in sections)):
        found |= _distinct(one, found)
    return "".join(
        f'<script type="application/json" id="{escape(name, quote=True)}">{safe_json(content)}</script>\n'
        for name, content in found.items()
    )


def _distinct(more: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    if both := sorted(set(more) & set(found)):
        raise ValueError(f"two elements of the page are called {', '.join(both)}")
    return more


def _policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Sequence[str]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in texts)
