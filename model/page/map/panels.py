"""The panels of the map as Vega-Lite: one that the page fills with dots as a reader asks, and all of them as a figure.

A panel has four layers, each with data of its own, so that pointing at a dot redraws a ring and not a thousand dots.
All panels show one rectangle of places with one scale, so distances compare between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from model.page.map.class_names import ClassName
from model.page.map.coloring import PLAIN, ColorEncoding
from model.page.map.mapped_clips import MappedClips
from model.page.theme import Theme

PIXELS = 300
"""Width of a figure's panel; the page makes its own as wide as it finds room."""
_NAME_PIXELS, _RANK_PIXELS, _HALO_PIXELS = 12, 11, 5
_CHANNELS = {
    "fill": alt.Fill,
    "stroke": alt.Stroke,
    "shape": alt.Shape,
    "size": alt.Size,
    "opacity": alt.Opacity,
    "strokeWidth": alt.StrokeWidth,
}


def live_panel(reach: tuple[float, float]) -> dict[str, Any]:
    """A Vega-Lite chart whose data the page sets: `dots`, `rings`, `names` and `ranks`, all looks given as values.

    Args:
        reach: of the panel from its middle to the side and upwards.
    """
    dots = _named("dots", reach).mark_point(filled=True, strokeWidth=1.2)
    dots = dots.encode(**_literal("fill", "stroke", "shape"), **_literal("size", "opacity", kind="Q"))
    rings = _named("rings", reach).mark_point(shape="circle", filled=False, opacity=1)
    rings = rings.encode(**_literal("stroke"), **_literal("size", "strokeWidth", kind="Q"))
    names, ranks = _words(_named("names", reach), _NAME_PIXELS), _words(_named("ranks", reach), _RANK_PIXELS)
    return _spec(alt.layer(dots, rings, *names, *ranks).properties(width=PIXELS, height=_height(reach), padding=0))


def figure(
    clips: MappedClips, colouring: ColorEncoding, names: Sequence[Sequence[ClassName]], theme: Theme
) -> dict[str, Any]:
    """The map as a Vega-Lite chart that stands by itself: panels side by side, the legend below.

    Args:
        clips: on the map.
        colouring: how they look; all alike for tags.
        names: of classes, for each panel.
        theme: whose colours; its configuration is given when it is drawn.
    """
    rows, height, drawn = _rows(clips, colouring), _height(clips.reach), []
    for panel, split in enumerate(clips.splits):
        dots = alt.Chart(alt.InlineData([row for row in rows if row["panel"] == panel])).mark_point(
            filled=True, opacity=0.85, **_plain(colouring, theme)
        )
        layers = [dots.encode(**_places(clips.reach), **_scaled(colouring, theme))]
        if names[panel]:
            words = [_word(name, theme) for name in names[panel]]
            layers += _words(alt.Chart(alt.InlineData(words)).encode(**_places(clips.reach)), _NAME_PIXELS)
        title = f"{panel_title(split)}, {clips.shown(split):,} clips"
        drawn.append(alt.layer(*layers).properties(width=PIXELS, height=height, title=title))
    return _spec(alt.hconcat(*drawn, spacing=24))


def panel_title(split: str) -> str:
    """What stands above the panel of a split."""
    return split.capitalize() if split else "No split"


def _spec(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)  # the theme says it
    return spec


def _height(reach: tuple[float, float]) -> int:
    return round(PIXELS * reach[1] / reach[0])


def _named(name: str, reach: tuple[float, float]) -> alt.Chart:
    return alt.Chart(alt.NamedData(name)).encode(**_places(reach))


def _places(reach: tuple[float, float]) -> dict[str, Any]:
    across, upwards = (alt.Scale(domain=[-one, one], nice=False, zero=False) for one in reach)
    return {"x": alt.X("x:Q", scale=across, axis=None), "y": alt.Y("y:Q", scale=upwards, axis=None)}


def _literal(*channels: str, kind: str = "N") -> dict[str, Any]:
    """Channels that take their data as they are: colours, symbols, pixels."""
    return {channel: _CHANNELS[channel](f"{channel}:{kind}", scale=None, legend=None) for channel in channels}


def _words(chart: alt.Chart, pixels: int) -> list[alt.Chart]:
    """Text with a halo, which reads over any dot."""
    chart = chart.encode(text=alt.Text("text:N"))
    halo = chart.mark_text(fontSize=pixels, fontWeight="bold", strokeWidth=_HALO_PIXELS, strokeJoin="round")
    halo = halo.encode(stroke=alt.Stroke("halo:N", scale=None), fill=alt.Fill("halo:N", scale=None))
    words = chart.mark_text(fontSize=pixels, fontWeight="bold").encode(fill=alt.Fill("fill:N", scale=None))
    return [halo, words]


def _word(name: ClassName, theme: Theme) -> dict[str, Any]:
    return {"x": round(name.x, 3), "y": round(name.y, 3), "text": name.text, "fill": theme.text, "halo": theme.card}


def _rows(clips: MappedClips, colouring: ColorEncoding) -> list[dict[str, Any]]:
    """Each clip that the colouring knows a class of, and all of them for tags."""
    return [
        {"x": round(float(x), 4), "y": round(float(y), 4), "panel": int(panel), "class": _class(colouring, clip)}
        for clip, ((x, y), panel) in enumerate(zip(clips.places, clips.panel, strict=True))
        if colouring.members[clip] or colouring.kind == "tags"
    ]


def _class(colouring: ColorEncoding, clip: int) -> str:
    return "" if colouring.kind == "tags" else colouring.looks[colouring.members[clip][0]].name


def _plain(colouring: ColorEncoding, theme: Theme) -> dict[str, Any]:
    return {"color": PLAIN[theme.dark], "size": 30} if colouring.kind == "tags" else {}


def _scaled(colouring: ColorEncoding, theme: Theme) -> dict[str, Any]:
    if colouring.kind == "tags":
        return {}
    names, looks = [look.name for look in colouring.looks], colouring.looks
    colours = alt.Scale(domain=names, range=[look.colours[theme.dark] for look in looks])
    shapes = alt.Scale(domain=names, range=[look.shape for look in looks])
    sizes = alt.Scale(domain=names, range=[look.size for look in looks])
    legend = alt.Legend(orient="bottom", columns=12 if colouring.kind == "key" else 6, title=colouring.name)
    return {
        "color": alt.Color("class:N", scale=colours, legend=legend),
        "shape": alt.Shape("class:N", scale=shapes, legend=legend),
        "size": alt.Size("class:N", scale=sizes, legend=legend),
    }
