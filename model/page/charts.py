"""Building blocks of the page's charts, written in Altair, which checks them against the schema of Vega-Lite.

Charts contain no colors. Their marks name styles of `theme.vega_config`, which the page and the exports pass to Vega.
The same specification is therefore drawn in both themes, with and without a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

import altair as alt

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
MAX_POINTS = 200
"""Points of a curve. More points would show only noise."""
_EDGE_PIXELS, _MAX_OVERHANG = 8, 3
_MAX_LABELS = 40
"""Labels side by side on a horizontal axis that are still legible."""
_MAX_DOTS = 60  # a curve with more points is drawn as a line only
_LABEL_PIXELS, _SHORT_FROM_STEP = 140, 10_000


def spec_of(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    """Return a chart as Vega-Lite, as wide as the element that it is drawn into."""
    content: Spec = chart.properties(width="container").to_dict()
    content.pop("config", None)  # Altair's own colors and fonts
    return content


def data(rows: Rows) -> alt.InlineData:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=[dict(row) for row in rows])


def separate_labels(overlap: str = "parity") -> Spec:
    """Return axis settings that hide labels which would touch each other.

    Args:
        overlap: `parity` hides every second label, `greedy` only those that touch the previous one.
    """
    return {"labelOverlap": overlap, "labelSeparation": 6}


def names(field: str, order: Sequence[str]) -> alt.Y:
    """Return a vertical axis with names in this order, from top to bottom."""
    axis = alt.Axis(title=None, labelLimit=_LABEL_PIXELS, ticks=False, domain=False, labelPadding=8)
    return alt.Y(f"{field}:N", sort=list(order), axis=axis)


def span(values: Iterable[float]) -> alt.Scale:
    """Return a scale that contains all of `values` with a margin. It starts below 0 only if a value is negative."""
    low, high = min(values := list(values)), max(values)
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 0.1
    start = low - margin if low < 0 else max(0.0, low - margin)
    return alt.Scale(domain=[round(start, 6), round(high + margin, 6)], zero=False, nice=False, padding=_EDGE_PIXELS)


def titled_span(title: str, values: Iterable[float], intervals: Iterable[tuple[float, float]]) -> Spec:
    """Return title and scale of an axis that contains all of `values` and their intervals, except for outliers.

    A probe that failed may have an interval a hundred times longer than the others, which would then look like flat
    lines. If an interval reaches more than `_MAX_OVERHANG` median lengths beyond all values, the axis ends one median
    length beyond the values, and its title says that longer intervals are cut off.
    """
    values, intervals = list(values), list(intervals)
    length = median([high - low for low, high in intervals if high > low] or [0.0])
    ends = [end for interval in intervals for end in interval]
    if all(min(values) - _MAX_OVERHANG * length <= end <= max(values) + _MAX_OVERHANG * length for end in ends):
        return {"title": title, "scale": span([*values, *ends])}
    scale = span([*values, *(min(max(end, min(values) - length), max(values) + length) for end in ends)])
    scale["clamp"] = True  # a mark's clip would give different bytes each time
    return {"title": f"{title} (longer intervals are cut off)", "scale": scale}


def curve(rows: Rows, field: str, title: str, reference: tuple[str, float] | None = None) -> Spec:
    """Return a line over training steps, with an optional dashed reference line.

    Args:
        rows: rows with `step`. Those without the field are left out. If there are more than `MAX_POINTS`, means of n
            successive rows are drawn, and the axis title says so.
        field: the field that is drawn.
        title: title of the vertical axis.
        reference: name and value of the dashed line.
    """
    group_size = -(-sum(field in row for row in rows) // MAX_POINTS)
    points = _means([(row["step"], row[field]) for row in rows if field in row], field, group_size)
    title = f"{title}, mean of {group_size}" if group_size > 1 else title
    values = [point[field] for point in points] + ([reference[1]] if reference else [])
    base = alt.Chart(data(points)).encode(
        x=alt.X("step:Q", axis=_step_axis(points)),
        y=alt.Y(f"{field}:Q", title=title, scale=span(values)),
    )
    tooltip = [alt.Tooltip("step:Q", format=",d"), alt.Tooltip(f"{field}:Q", title=title, format=".4~f")]
    layers = [
        base.mark_line(style="trained", strokeWidth=2, fill="transparent"),
        base.mark_point(size=160, opacity=0, filled=True).encode(tooltip=tooltip),
    ]
    if len(points) <= _MAX_DOTS:
        layers.append(base.mark_point(style="trained", size=18 if len(points) > 2 else 60, filled=True))
    if reference is not None:
        layers += _reference_line(reference)
    return spec_of(alt.layer(*layers).properties(height=200))


def _means(points: Sequence[tuple[int, float]], field: str, group_size: int) -> list[dict[str, float]]:
    """Return the mean step and the mean value of each group of successive points."""
    groups = [points[start : start + group_size] for start in range(0, len(points), max(1, group_size))]
    return [{"step": fmean(x for x, _ in group), field: fmean(y for _, y in group)} for group in groups]


def _step_axis(points: Rows) -> alt.Axis:
    """Return an axis of steps, which are written as 5,000 or as 50k and never touch each other."""
    label_format = "~s" if points and points[-1]["step"] >= _SHORT_FROM_STEP else ",d"
    return alt.Axis(title="step", grid=False, tickMinStep=1, format=label_format, tickCount=8, **separate_labels())


def _reference_line(reference: tuple[str, float]) -> list[alt.Chart]:
    line = alt.Chart(data([{"is": reference[0], "at": reference[1]}])).encode(y=alt.Y("at:Q"))
    text: dict[str, Any] = {"align": "right", "baseline": "bottom", "dy": -4}
    return [
        line.mark_rule(style="reference"),
        line.mark_text(style="remark", **text).encode(x=alt.value("width"), text="is:N"),
    ]


def legible_labels(names: Sequence[str]) -> Sequence[str]:
    """Return every n-th of many names, so that their labels do not overlap."""
    return names[:: -(-len(names) // _MAX_LABELS)]


def heat_map(
    rows: Rows,
    axes: tuple[str, str],
    orders: tuple[Sequence[str], Sequence[str]],
    cell_pixels: int = 30,
) -> Spec:
    """Return shares as colored cells of a table, each with a text in it.

    Args:
        rows: rows with the two fields of `axes`, `share` from 0 to 1, and `words`, the text in the cell.
        axes: fields of the vertical and of the horizontal axis, which are also the titles of the axes.
        orders: order of the names on each axis.
        cell_pixels: height of a cell.
    """
    down, across = axes
    bare: dict[str, Any] = {"ticks": False, "domain": False, "labelPadding": 6}
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(f"{down}:N", sort=list(orders[0]), axis=alt.Axis(labelLimit=_LABEL_PIXELS, **bare)),
        x=alt.X(
            f"{across}:N",
            sort=list(orders[1]),
            axis=alt.Axis(orient="top", labelAngle=-40, labelLimit=110, values=legible_labels(orders[1]), **bare),
        ),
        tooltip=[alt.Tooltip(f"{down}:N"), alt.Tooltip(f"{across}:N"), alt.Tooltip("share:Q", format=".1%"), "words:N"],
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range="ramp"), legend=None)
    )
    words = [
        base.transform_filter(f"datum.share {comparison} 0.5")
        .mark_text(style=style, fontSize=11)
        .encode(text="words:N")
        for comparison, style in (("<=", "faint"), (">", "strong"))
    ]
    return spec_of(alt.layer(cells, *words).properties(height=cell_pixels * len(orders[0])))
