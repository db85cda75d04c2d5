"""What all charts of the page share: Altair charts, checked against Vega-Lite's schema, as plain JSON without looks.

Looks are not the charts' business: marks name styles of `theme.vega_config`, which the page and the exports give to
Vega, so the same specification is drawn in every theme, in a browser and without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

import altair as alt

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
MOST_POINTS = 200
"""Of a curve; what more would show is noise."""
_EDGE_PIXELS, _FAR = 8, 3
_MOST_LABELS = 40
"""Across, that are legible beside each other."""
_MOST_DOTS = 60  # a curve of more is a line only
_LABEL_PIXELS, _SHORT_FROM_STEP = 140, 10_000


def spec_of(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    """The chart as Vega-Lite, as wide as the element it stands in."""
    content: Spec = chart.properties(width="container").to_dict()
    content.pop("config", None)  # Altair's own looks
    return content


def data(rows: Rows) -> alt.InlineData:
    """Rows as a chart's data."""
    return alt.InlineData(values=[dict(row) for row in rows])


def apart(overlap: str = "parity") -> Spec:
    """For an axis: labels that would touch each other are left out, every second one, or `greedy` those that do."""
    return {"labelOverlap": overlap, "labelSeparation": 6}


def names(field: str, order: Sequence[str]) -> alt.Y:
    """A vertical axis of names in this order, from the top."""
    axis = alt.Axis(title=None, labelLimit=_LABEL_PIXELS, ticks=False, domain=False, labelPadding=8)
    return alt.Y(f"{field}:N", sort=list(order), axis=axis)


def span(values: Iterable[float]) -> alt.Scale:
    """A scale that holds all of `values`, with some room at its ends; not below 0 unless they are."""
    low, high = min(values := list(values)), max(values)
    room = 0.04 * (high - low) or 0.1 * abs(high) or 0.1
    least = low - room if low < 0 else max(0.0, low - room)
    return alt.Scale(domain=[round(least, 6), round(high + room, 6)], zero=False, nice=False, padding=_EDGE_PIXELS)


def spanned(title: str, values: Iterable[float], intervals: Iterable[tuple[float, float]]) -> Spec:
    """Title and scale of an axis that holds all of `values`, and their intervals unless one is far longer than most.

    One probe that failed may have an interval of a hundred times the others', beside which these would be flat lines.
    Where one reaches over `_FAR` usual lengths beyond all values, the axis and the line end a usual length beyond them,
    and its title says so.
    """
    values, intervals = list(values), list(intervals)
    usual = median([high - low for low, high in intervals if high > low] or [0.0])
    ends = [end for one in intervals for end in one]
    if all(min(values) - _FAR * usual <= end <= max(values) + _FAR * usual for end in ends):
        return {"title": title, "scale": span([*values, *ends])}
    scale = span([*values, *(min(max(end, min(values) - usual), max(values) + usual) for end in ends)])
    scale["clamp"] = True  # and not a mark's clip, which makes other bytes each time
    return {"title": f"{title} (longer lines go on)", "scale": scale}


def curve(rows: Rows, field: str, title: str, reference: tuple[str, float] | None = None) -> Spec:
    """A line over training steps, with a dashed line and its name where there is something to compare with.

    Args:
        rows: each with `step` and the field; those without it are left out; of many, means of n in a row are drawn,
            which the axis says.
        field: what is drawn.
        title: of the vertical axis.
        reference: what the dashed line is, and where.
    """
    every = -(-sum(field in row for row in rows) // MOST_POINTS)
    there = _means([(row["step"], row[field]) for row in rows if field in row], field, every)
    title = f"{title}, mean of {every}" if every > 1 else title
    values = [row[field] for row in there] + ([reference[1]] if reference else [])
    base = alt.Chart(data(there)).encode(
        x=alt.X("step:Q", axis=_step_axis(there)),
        y=alt.Y(f"{field}:Q", title=title, scale=span(values)),
    )
    told = [alt.Tooltip("step:Q", format=",d"), alt.Tooltip(f"{field}:Q", title=title, format=".4~f")]
    layers = [
        base.mark_line(style="trained", strokeWidth=2, fill="transparent"),
        base.mark_point(size=160, opacity=0, filled=True).encode(tooltip=told),
    ]
    if len(there) <= _MOST_DOTS:
        layers.append(base.mark_point(style="trained", size=18 if len(there) > 2 else 60, filled=True))
    if reference is not None:
        layers += _reference_line(reference)
    return spec_of(alt.layer(*layers).properties(height=200))


def _means(points: Sequence[tuple[int, float]], field: str, every: int) -> list[dict[str, float]]:
    """Mean step and mean value of every so many points in a row."""
    groups = [points[start : start + every] for start in range(0, len(points), max(1, every))]
    return [{"step": fmean(x for x, _ in one), field: fmean(y for _, y in one)} for one in groups]


def _step_axis(there: Rows) -> alt.Axis:
    """Steps read 5,000, but 50k, and never touch each other."""
    written = "~s" if there and there[-1]["step"] >= _SHORT_FROM_STEP else ",d"
    return alt.Axis(title="step", grid=False, tickMinStep=1, format=written, tickCount=8, **apart())


def _reference_line(reference: tuple[str, float]) -> list[alt.Chart]:
    line = alt.Chart(data([{"is": reference[0], "at": reference[1]}])).encode(y=alt.Y("at:Q"))
    words: dict[str, Any] = {"align": "right", "baseline": "bottom", "dy": -4}
    return [
        line.mark_rule(style="reference"),
        line.mark_text(style="remark", **words).encode(x=alt.value("width"), text="is:N"),
    ]


def labelled(names: Sequence[str]) -> Sequence[str]:
    """Every n-th of many names, so that their labels do not lie on one another."""
    return names[:: -(-len(names) // _MOST_LABELS)]


def heat_map(
    rows: Rows,
    axes: tuple[str, str],
    orders: tuple[Sequence[str], Sequence[str]],
    cell_pixels: int = 30,
) -> Spec:
    """Shares as cells of a table, the darker or lighter the more, each with its number in words.

    Args:
        rows: each with the two fields of `axes`, `share` from 0 to 1 and `words`, which stand in the cell.
        axes: fields down and across; they are their axes' titles as well.
        orders: of both.
        cell_pixels: height of a cell.
    """
    down, across = axes
    bare: dict[str, Any] = {"ticks": False, "domain": False, "labelPadding": 6}
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            f"{down}:N",
            sort=list(orders[0]),
            axis=alt.Axis(labelLimit=_LABEL_PIXELS, **bare),
        ),
        x=alt.X(
            f"{across}:N",
            sort=list(orders[1]),
            axis=alt.Axis(orient="top", labelAngle=-40, labelLimit=110, values=labelled(orders[1]), **bare),
        ),
        tooltip=[alt.Tooltip(f"{down}:N"), alt.Tooltip(f"{across}:N"), alt.Tooltip("share:Q", format=".1%"), "words:N"],
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range="ramp"), legend=None)
    )
    words = [
        base.transform_filter(f"datum.share {than} 0.5").mark_text(style=style, fontSize=11).encode(text="words:N")
        for than, style in (("<=", "faint"), (">", "strong"))
    ]
    return spec_of(alt.layer(cells, *words).properties(height=cell_pixels * len(orders[0])))
