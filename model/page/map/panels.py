"""The panels of the map as Vega-Lite: a live panel whose data the page sets, and a figure of all panels.

A live panel has layers for rings and texts, each with data of its own. The page draws the dots below them itself, on a
canvas, so that pointing at a dot redraws one ring and not 20,000 dots. All panels show the same rectangle with the same
scale, so distances can be compared between them.
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
"""Width of a panel in a figure. The page makes its panels as wide as there is room."""
_NAME_PIXELS, _RANK_PIXELS, _HALO_PIXELS = 12, 11, 5
_CHANNELS = {
    "fill": alt.Fill,
    "stroke": alt.Stroke,
    "shape": alt.Shape,
    "size": alt.Size,
    "opacity": alt.Opacity,
    "strokeWidth": alt.StrokeWidth,
}


def live_panel(extent: tuple[float, float]) -> dict[str, Any]:
    """Return a Vega-Lite chart whose data the page sets: `rings`, `names` and `ranks`, with colors as values.

    Args:
        extent: distance from the middle of the panel to its side and to its top.
    """
    rings = _named("rings", extent).mark_point(shape="circle", filled=False, opacity=1)
    rings = rings.encode(**_literal("stroke"), **_literal("size", "strokeWidth", kind="Q"))
    names, ranks = _text(_named("names", extent), _NAME_PIXELS), _text(_named("ranks", extent), _RANK_PIXELS)
    return _spec(alt.layer(rings, *names, *ranks).properties(width=PIXELS, height=_height(extent), padding=0))


def figure(
    clips: MappedClips, encoding: ColorEncoding, names: Sequence[Sequence[ClassName]], theme: Theme
) -> dict[str, Any]:
    """Return the map as a self-contained Vega-Lite chart: panels side by side with the legend below.

    Args:
        clips: clips on the map.
        encoding: color encoding. For tags, all dots look the same.
        names: class names on each panel.
        theme: theme of the colors. Its configuration is passed to Vega when the figure is drawn.
    """
    rows, height, charts = _rows(clips, encoding), _height(clips.extent), []
    for panel, split in enumerate(clips.splits):
        dots = alt.Chart(alt.InlineData([row for row in rows if row["panel"] == panel])).mark_point(
            filled=True, opacity=0.85, **_plain(encoding, theme)
        )
        layers = [dots.encode(**_axes(clips.extent), **_channels(encoding, theme))]
        if names[panel]:
            texts = [_name_row(name, theme) for name in names[panel]]
            layers += _text(alt.Chart(alt.InlineData(texts)).encode(**_axes(clips.extent)), _NAME_PIXELS)
        title = f"{panel_title(split, len(clips.splits) == 1)}, {clips.shown(split):,} clips"
        charts.append(alt.layer(*layers).properties(width=PIXELS, height=height, title=title))
    return _spec(alt.hconcat(*charts, spacing=24))


def panel_title(split: str, is_only: bool = False) -> str:
    """Return the title of the panel of a split, which can be the only one."""
    return split.capitalize() if split else "All clips" if is_only else "No split"


def _spec(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)  # the theme has it
    return spec


def _height(extent: tuple[float, float]) -> int:
    return round(PIXELS * extent[1] / extent[0])


def _named(name: str, extent: tuple[float, float]) -> alt.Chart:
    return alt.Chart(alt.NamedData(name)).encode(**_axes(extent))


def _axes(extent: tuple[float, float]) -> dict[str, Any]:
    horizontal, vertical = (alt.Scale(domain=[-limit, limit], nice=False, zero=False) for limit in extent)
    return {"x": alt.X("x:Q", scale=horizontal, axis=None), "y": alt.Y("y:Q", scale=vertical, axis=None)}


def _literal(*channels: str, kind: str = "N") -> dict[str, Any]:
    """Return channels that use their data as they are: colors, symbols, pixels."""
    return {channel: _CHANNELS[channel](f"{channel}:{kind}", scale=None, legend=None) for channel in channels}


def _text(chart: alt.Chart, pixels: int) -> list[alt.Chart]:
    """Return text with a halo, which is legible over any dot."""
    chart = chart.encode(text=alt.Text("text:N"))
    halo = chart.mark_text(fontSize=pixels, fontWeight="bold", strokeWidth=_HALO_PIXELS, strokeJoin="round")
    halo = halo.encode(stroke=alt.Stroke("halo:N", scale=None), fill=alt.Fill("halo:N", scale=None))
    text = chart.mark_text(fontSize=pixels, fontWeight="bold").encode(fill=alt.Fill("fill:N", scale=None))
    return [halo, text]


def _name_row(name: ClassName, theme: Theme) -> dict[str, Any]:
    return {"x": round(name.x, 3), "y": round(name.y, 3), "text": name.text, "fill": theme.text, "halo": theme.card}


def _rows(clips: MappedClips, encoding: ColorEncoding) -> list[dict[str, Any]]:
    """Return a row for each clip with a class, and for tags a row for each clip."""
    return [
        {"x": round(float(x), 4), "y": round(float(y), 4), "panel": int(panel), "class": _class(encoding, clip)}
        for clip, ((x, y), panel) in enumerate(zip(clips.coordinates, clips.panel, strict=True))
        if encoding.members[clip] or encoding.kind == "tags"
    ]


def _class(encoding: ColorEncoding, clip: int) -> str:
    return "" if encoding.kind == "tags" else encoding.marks[encoding.members[clip][0]].name


def _plain(encoding: ColorEncoding, theme: Theme) -> dict[str, Any]:
    return {"color": PLAIN[theme.dark], "size": 30} if encoding.kind == "tags" else {}


def _channels(encoding: ColorEncoding, theme: Theme) -> dict[str, Any]:
    if encoding.kind == "tags":
        return {}
    names, marks = [mark.name for mark in encoding.marks], encoding.marks
    colors = alt.Scale(domain=names, range=[mark.colors[theme.dark] for mark in marks])
    shapes = alt.Scale(domain=names, range=[mark.shape for mark in marks])
    sizes = alt.Scale(domain=names, range=[mark.size for mark in marks])
    legend = alt.Legend(orient="bottom", columns=12 if encoding.kind == "key" else 6, title=encoding.name)
    return {
        "color": alt.Color("class:N", scale=colors, legend=legend),
        "shape": alt.Shape("class:N", scale=shapes, legend=legend),
        "size": alt.Size("class:N", scale=sizes, legend=legend),
    }
