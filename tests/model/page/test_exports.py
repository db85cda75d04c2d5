"""Exports: every chart as a picture that fetches nothing, every number once, the same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import struct
from xml.etree import ElementTree

import pytest

from model.page import charts, confidence_intervals, exports
from model.page.quoted import Quote

QUOTES = [Quote("Jukebox", "gtzan/genre/accuracy", 0.797, "A paper, 2021")]


@pytest.fixture(scope="module")
def pictures(found):
    return exports.picture(confidence_intervals.chart(found.scores[1], "accuracy"))


def test_a_chart_is_a_picture_with_its_names_as_text(pictures):
    root = ElementTree.fromstring(pictures[0])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script>alert(1)</script>…" in {element.text for element in root.iter()}  # names of this length are cut
    assert pictures[1].startswith(b"\x89PNG")
    assert struct.unpack(">I", pictures[1][16:20])[0] == exports.SCALE * float(root.get("width"))


def test_a_picture_runs_and_fetches_nothing(pictures):
    for element in ElementTree.fromstring(pictures[0]).iter():
        assert element.tag.split("}")[-1] not in ("script", "foreignObject", "iframe", "a", "image")
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert name.split("}")[-1] not in ("href", "src") or value.startswith("#")


def test_the_csv_has_every_score_of_every_representation_and_the_quoted_ones(found):
    lines = list(csv.DictReader(io.StringIO(exports.long_form(found, QUOTES))))
    measured = [line for line in lines if not line["source"]]
    assert len(measured) == sum(len(one.rows) * len(one.rows[0].metrics) for one in found.scores)
    for one in found.scores:
        for row in one.rows:
            for name, metric in row.metrics.items():
                who = {"dataset": one.dataset, "task": one.task, "representation": row.representation, "metric": name}
                (line,) = [line for line in measured if who.items() <= line.items()]
                assert [float(line[key]) for key in ("value", "low", "high", "neighbours")] == [
                    *(metric.value, metric.interval.low, metric.interval.high, metric.neighbours)
                ]
                assert line["lead_low"] == ("" if metric.lead is None else str(metric.lead.low))
    assert lines[-1] | {"value": "0.797", "source": "A paper, 2021", "low": ""} == lines[-1]


def test_the_json_holds_what_the_page_tells(found):
    content = json.loads(json.dumps(exports.content(found, QUOTES)))
    assert content["scores"][0]["rows"][0]["metrics"]["ROC-AUC"]["value"] == 0.8
    assert [one["name"] for one in content["sweeps"]] == [one.name for one in found.sweeps]
    assert content["quoted"][0]["row"] == "Jukebox"


def test_files_lie_beside_the_page_and_are_the_same_when_they_are_made_again(found, tmp_path):
    specs = {"loss": charts.curve(found.metrics, "loss", "loss"), "old": charts.curve(found.metrics, "loss", "old")}
    paths = exports.write(tmp_path / "page.html", found, QUOTES, specs)
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {
        *("page.figures/loss.svg", "page.figures/loss.png", "page.figures/old.svg", "page.figures/old.png"),
        *("page.json", "page.csv"),
    }
    before = {path: path.read_bytes() for path in paths if "old" not in path.name}
    (tmp_path / "page.figures" / "mine.txt").write_text("kept")
    assert set(exports.write(tmp_path / "page.html", found, QUOTES, {"loss": specs["loss"]})) == set(before)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in (tmp_path / "page.figures").iterdir()) == ["loss.png", "loss.svg", "mine.txt"]
