"""The map's panels as Vega-Lite: valid, with the same scale, and drawn to the same bytes each time."""

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
def embedding_map():
    return EmbeddingMap.build(*synthetic_map.features_and_store(45))


def _svg(spec, colors):
    return vl_convert.vegalite_to_svg(spec, vl_version=SCHEMA_VERSION[1:4], config=theme.vega_config(colors))


def test_the_live_panel_is_valid_and_contains_no_data(embedding_map):
    extent = embedding_map.clips.extent
    spec = panels.live_panel(extent)
    altair.LayerChart.from_dict(spec)  # raises if it is not Vega-Lite
    assert [layer["data"]["name"] for layer in spec["layer"]] == ["rings", "names", "names", "ranks", "ranks"]
    assert "datasets" not in spec
    assert spec["height"] / spec["width"] == pytest.approx(extent[1] / extent[0], rel=0.01)


@pytest.mark.parametrize("colors", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_a_figure_has_every_clip_once_in_the_panel_of_its_split(embedding_map, colors):
    clips = embedding_map.clips
    for encoding, spec in zip(embedding_map.color_encodings, embedding_map.figures(colors).values(), strict=True):
        altair.HConcatChart.from_dict(spec)
        dots = [_dots(spec, panel) for panel in spec["hconcat"]]
        labeled = [row for row, classes in zip(clips.rows, encoding.members, strict=True) if classes]
        shown = clips.rows if encoding.kind == "tags" else labeled
        assert [len(rows) for rows in dots] == [sum(row.split == split for row in shown) for split in clips.splits]


def _dots(spec, panel):
    """Return the rows of a panel's dots. Altair moves data that all layers share up to the panel."""
    data = panel["layer"][0].get("data") or panel["data"]
    return spec["datasets"][data["name"]]


def test_all_panels_have_the_same_scale(embedding_map):
    for spec in embedding_map.figures().values():
        for panel in spec["hconcat"]:
            dots = panel["layer"][0]["encoding"]
            domains = [dots[axis]["scale"]["domain"] for axis in "xy"]
            assert domains == [[-limit, limit] for limit in embedding_map.clips.extent]


@pytest.mark.slow
def test_figures_are_reproducible_and_well_formed_in_both_themes(embedding_map):
    for colors in (theme.LIGHT, theme.DARK):
        for name, spec in embedding_map.figures(colors).items():
            first, second = _svg(spec, colors), _svg(spec, colors)
            assert first == second
            root = ElementTree.fromstring(first)
            assert root.tag.endswith("svg")
            text = "".join(root.itertext())
            assert "Train, 18 clips" in text
            assert (name in text) == (name != "tags")  # a figure cannot show several tags of a clip


def test_foreign_text_stays_text(embedding_map):
    root = ElementTree.fromstring(_svg(embedding_map.figures()["genre"], theme.LIGHT))
    assert synthetic_map.GENRES[1] in [element.text for element in root.iter()]
    assert not any(element.tag.split("}")[-1] in ("script", "b") for element in root.iter())
