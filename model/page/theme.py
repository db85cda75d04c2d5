"""Colours, light and dark: once for the page's style sheet and once for the charts, so that both always agree.

Text stands out from what is behind it by 4.5 to 1 or more in both themes (WCAG 2.2, AA; tested). Colours that tell
things apart are those of Okabe and Ito (2008); charts never leave it at colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
"""Of page and charts: what the reader's system has."""


@dataclass(frozen=True)
class Theme:
    """One set of colours, each `#rrggbb`."""

    text: str
    """Words."""
    muted: str
    """Words of less weight: axes, captions."""
    background: str
    """Behind the cards."""
    card: str
    """Behind words and charts."""
    line: str
    """Between rows, around cards; decoration only."""
    accent: str
    """The trained representation; links; the focus ring."""
    other: str
    """Representations beside it."""
    categories: tuple[str, ...]
    """Of things that are told apart, the trained one first."""
    ramp: tuple[str, ...]
    """From nothing to much; half-way words may be black or white."""
    faint: str
    """Words on the lower half of the ramp."""
    strong: str
    """Words on its upper half."""

    @property
    def dark(self) -> bool:
        """Whether words are lighter than what is behind them."""
        return self is DARK


LIGHT = Theme(
    text="#1a1d24",
    muted="#555c69",
    background="#f3f4f7",
    card="#ffffff",
    line="#dcdfe6",
    accent="#0072b2",
    other="#8d94a1",
    categories=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1a1d24"),
    ramp=("#f1f5fa", "#9cc6e4", "#2a7ab4", "#0b588c", "#003a61"),
    faint="#000000",
    strong="#ffffff",
)
DARK = Theme(
    text="#e8eaef",
    muted="#a5acb9",
    background="#111318",
    card="#1a1d24",
    line="#333845",
    accent="#56b4e9",
    other="#7c8493",
    categories=("#56b4e9", "#e69f00", "#2fb890", "#e39bc3", "#f0e442", "#e8793a", "#e8eaef"),
    ramp=("#20242d", "#1d4e72", "#2a7ab4", "#6bbcec", "#d3ecfb"),
    faint="#ffffff",
    strong="#000000",
)
THEMES = {"light": LIGHT, "dark": DARK}
_VARIABLES = ("text", "muted", "background", "card", "line", "accent", "other")


def style_sheet() -> str:
    """Both themes as CSS custom properties; `data-theme` on the root element decides, or else the reader's system."""
    light, dark = (_declarations(theme) for theme in (LIGHT, DARK))
    return (
        f":root {{ --font: {FONT}; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}\n"
        f":root[data-theme='dark'] {{ {dark} }}\n"
    )


def vega_config(theme: Theme) -> dict[str, Any]:
    """The configuration of Vega-Lite charts, with styles that marks name instead of colours.

    `trained`, `other`: bars and points; `interval`: what shows how sure; `reference`: a line to compare with, `remark`:
    words beside it; `faint`, `strong`: words on the lower and upper half of the ramp.
    """
    axis = {"domainColor": theme.line, "tickColor": theme.line, "gridColor": theme.line, "gridOpacity": 0.7}
    words = {"labelColor": theme.muted, "titleColor": theme.muted, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": "transparent",
        "font": FONT,
        "aria": False,  # of marks and axes: the element around a chart says what it is, the table holds the numbers
        "view": {"stroke": None},
        "axis": {**axis, **words, "titleFontWeight": "normal", "titlePadding": 8, "labelFlush": False},
        "legend": {
            **words,
            "titleFontWeight": "normal",
            "orient": "top",
            "symbolOpacity": 1,
            "labelLimit": 260,
            "columns": 2,
        },
        "header": {**words, "titleFontWeight": "normal"},
        "title": {"color": theme.text, "fontSize": 13, "anchor": "start"},
        "range": {"category": list(theme.categories), "ramp": list(theme.ramp), "heatmap": list(theme.ramp)},
        "style": {
            "trained": {"color": theme.accent, "fill": theme.accent, "stroke": theme.accent},
            "other": {"color": theme.other, "fill": theme.other, "stroke": theme.other},
            "interval": {"color": theme.text, "stroke": theme.text},
            "reference": {"color": theme.muted, "stroke": theme.muted, "strokeDash": [4, 4]},
            "remark": {"color": theme.muted, "fontSize": 12},
            "faint": {"color": theme.faint},
            "strong": {"color": theme.strong},
        },
    }


def _declarations(theme: Theme) -> str:
    scheme = "dark" if theme.dark else "light"
    picture = "brightness(.72)" if theme.dark else "none"  # of pictures on white, which would glare
    colours = " ".join(f"--{name}: {getattr(theme, name)};" for name in _VARIABLES)
    return f"color-scheme: {scheme}; --picture: {picture}; {colours}"
