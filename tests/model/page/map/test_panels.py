"""The map's panels as Vega-Lite: valid, one scale for all, and drawn without a browser to the same bytes each time."""

from __future__ import annotations

from xml.etree import ElementTree

import altair
import pytest
import synthetic_map
import vl_convert
from altair.vegalite import SCHEMA_VERSION

from model.page import theme
from model.page.map import panels
from model.page.map.section import EmbeddingMap


@pytest.fixture(scope="module")
def made():
    return EmbeddingMap.of(*synthetic_map.made(45))


def _svg(spec, colours):
    return vl_convert.vegalite_to_svg(spec, vl_version=SCHEMA_VERSION[1:4], config=theme.vega_config(colours))


def test_the_live_panel_is_valid_and_holds_no_data(made):
    spec = panels.live_panel(made.clips.reach)
    altair.LayerChart.from_dict(spec)  # raises where it is no Vega-Lite
    assert [layer["data"]["name"] for layer in spec["layer"]] == ["dots", "rings", "names", "names", "ranks", "ranks"]
    assert "datasets" not in spec
    assert spec["height"] / spec["width"] == pytest.approx(made.clips.reach[1] / made.clips.reach[0], rel=0.01)


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_a_figure_holds_every_clip_once_in_the_panel_of_its_split(made, colours):
    for colouring, spec in zip(made.color_encodings, made.figures(colours).values(), strict=True):
        altair.HConcatChart.from_dict(spec)
        dots = [_dots(spec, panel) for panel in spec["hconcat"]]
        labelled = [row for row, classes in zip(made.clips.rows, colouring.members, strict=True) if classes]
        shown = made.clips.rows if colouring.kind == "tags" else labelled
        assert [len(of) for of in dots] == [sum(r.split == split for r in shown) for split in made.clips.splits]


def _dots(spec, panel):
    """The rows of a panel's dots; Altair moves data that all layers share up to the panel."""
    data = panel["layer"][0].get("data") or panel["data"]
    return spec["datasets"][data["name"]]


def test_all_panels_have_one_scale(made):
    for spec in made.figures().values():
        for panel in spec["hconcat"]:
            dots = panel["layer"][0]["encoding"]
            assert [dots[axis]["scale"]["domain"] for axis in "xy"] == [[-one, one] for one in made.clips.reach]


def test_figures_are_drawn_to_the_same_well_formed_bytes_in_both_themes(made):
    for colours in (theme.LIGHT, theme.DARK):
        for name, spec in made.figures(colours).items():
            first, second = _svg(spec, colours), _svg(spec, colours)
            assert first == second
            root = ElementTree.fromstring(first)
            assert root.tag.endswith("svg")
            text = "".join(root.itertext())
            assert "Train, 18 clips" in text
            assert (name in text) == (name != "tags")  # a figure cannot show several tags of a clip


def test_foreign_text_stays_text(made):
    drawn = ElementTree.fromstring(_svg(made.figures()["genre"], theme.LIGHT))
    assert synthetic_map.GENRES[1] in [element.text for element in drawn.iter()]
    assert not any(element.tag.split("}")[-1] in ("script", "b") for element in drawn.iter())
