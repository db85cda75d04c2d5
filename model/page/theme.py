"""Colors of the light and dark theme, used by the style sheet of the page and by the charts, so that both agree.

Text has a contrast of at least 4.5 to 1 with its background in both themes (WCAG 2.2, level AA; tested). Colors of
categories are those of Okabe and Ito (2008). Charts always use shape, position or text besides color.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
"""Font of page and charts, which is that of the reader's system."""


@dataclass(frozen=True)
class Theme:
    """One set of colors, each `#rrggbb`."""

    text: str
    """Text."""
    muted: str
    """Less important text: axes, captions."""
    background: str
    """Background of the page."""
    card: str
    """Background of sections, texts and charts."""
    line: str
    """Lines between rows and around sections, for decoration only."""
    accent: str
    """Trained representation, links and focus ring."""
    other: str
    """Other representations."""
    categories: tuple[str, ...]
    """Categories, the trained representation first."""
    ramp: tuple[str, ...]
    """Shares from 0 to 1. Near the middle, text on it may be black or white."""
    faint: str
    """Text on the lower half of the ramp."""
    strong: str
    """Text on the upper half of the ramp."""

    @property
    def dark(self) -> bool:
        """True if text is lighter than its background."""
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
    """Return both themes as CSS custom properties. `data-theme` of the root element or else the system decides."""
    light, dark = (_declarations(theme) for theme in (LIGHT, DARK))
    return (
        f":root {{ --font: {FONT}; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}\n"
        f":root[data-theme='dark'] {{ {dark} }}\n"
    )


def vega_config(theme: Theme) -> dict[str, Any]:
    """Return the configuration of Vega-Lite charts, with the styles that marks name instead of colors.

    The styles are `trained` and `other` for bars and points, `interval` for confidence intervals, `reference` for a
    line to compare with, `remark` for its name, and `faint` and `strong` for text on the lower and upper half of the
    ramp.
    """
    axis = {"domainColor": theme.line, "tickColor": theme.line, "gridColor": theme.line, "gridOpacity": 0.7}
    labels = {"labelColor": theme.muted, "titleColor": theme.muted, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": "transparent",
        "font": FONT,
        "aria": False,  # the element around a chart has its description, and a table has its numbers
        "view": {"stroke": None},
        "axis": {**axis, **labels, "titleFontWeight": "normal", "titlePadding": 8, "labelFlush": False},
        "legend": {
            **labels,
            "titleFontWeight": "normal",
            "orient": "top",
            "symbolOpacity": 1,
            "labelLimit": 260,
            "columns": 2,
        },
        "header": {**labels, "titleFontWeight": "normal"},
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
    picture = "brightness(.72)" if theme.dark else "none"  # pictures on white would glare in the dark
    colors = " ".join(f"--{name}: {getattr(theme, name)};" for name in _VARIABLES)
    return f"color-scheme: {scheme}; --picture: {picture}; {colors}"
