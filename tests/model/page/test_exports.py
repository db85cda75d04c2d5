"""Exports: every chart as a picture that fetches nothing, every number once, and the same bytes each time."""

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
def pictures(results):
    return exports.picture(confidence_intervals.chart(results.scores[1], "accuracy"))


def test_a_picture_has_names_as_text(pictures):
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


def test_the_csv_has_every_score_and_the_quoted_ones(results):
    lines = list(csv.DictReader(io.StringIO(exports.long_form(results, QUOTES))))
    measured = [line for line in lines if not line["source"]]
    assert len(measured) == sum(len(scores.rows) * len(scores.rows[0].metrics) for scores in results.scores)
    for scores in results.scores:
        subject = {"dataset": scores.dataset, "task": scores.task}
        for row in scores.rows:
            for name, metric in row.metrics.items():
                wanted = {**subject, "representation": row.representation, "metric": name}
                (line,) = [line for line in measured if wanted.items() <= line.items()]
                assert [float(line[key]) for key in ("value", "low", "high", "neighbours")] == [
                    *(metric.value, metric.interval.low, metric.interval.high, metric.neighbours)
                ]
                assert line["lead_low"] == ("" if metric.lead is None else str(metric.lead.low))
    assert lines[-1] | {"value": "0.797", "source": "A paper, 2021", "low": ""} == lines[-1]


def test_the_json_has_what_the_page_shows(results):
    content = json.loads(json.dumps(exports.content(results, QUOTES)))
    assert content["scores"][0]["rows"][0]["metrics"]["ROC-AUC"]["value"] == 0.8
    assert [sweep["name"] for sweep in content["sweeps"]] == [sweep.name for sweep in results.sweeps]
    assert content["quoted"][0]["row"] == "Jukebox"


def test_sweeps_in_the_json_keep_their_keys(results):
    (sweep,) = [sweep for sweep in exports.content(results, [])["sweeps"] if sweep["over"] == "batch"]
    assert list(sweep) == ["name", "command", "store", "over", "fair", "clips_seen", "points"]
    score = {"dataset": "made", "task": "genre", "metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6}
    assert sweep["points"][0] == {
        "value": 64.0,
        "run": "made-batch-0",
        "batch": 64,
        "steps": 100,
        "seconds_per_step": 0.1,
        "loss": 2.0,
        "scores": [score],
        "untrained": [{**score, "value": 0.3}],
    }


def test_files_beside_the_page_are_reproducible(results, tmp_path):
    loss, former = (charts.curve(results.metrics, "loss", title) for title in ("loss", "former"))
    specs = {"loss": loss, "former": former}
    paths = exports.write(tmp_path / "page.html", results, QUOTES, specs)
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {
        *("page.figures/loss.svg", "page.figures/loss.png", "page.figures/former.svg", "page.figures/former.png"),
        *("page.json", "page.csv"),
    }
    before = {path: path.read_bytes() for path in paths if "former" not in path.name}
    (tmp_path / "page.figures" / "mine.txt").write_text("kept")
    assert set(exports.write(tmp_path / "page.html", results, QUOTES, {"loss": loss})) == set(before)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in (tmp_path / "page.figures").iterdir()) == ["loss.png", "loss.svg", "mine.txt"]
