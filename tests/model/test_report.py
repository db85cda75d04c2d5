"""The command `model.report`: a run and its scores become one page that stands by itself, and files beside it."""

from __future__ import annotations

import shutil

import pytest
import synthetic_report
from html_elements import Elements
from small_stores import store_maker

from model import report
from stores import locations


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workplace whose run `first` has one task, and what the command said of it."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthetic_report.one_task(store_maker(folder))
        assert report.main([]) == 0
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, made):
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    shutil.rmtree("reports")
    return tmp_path / "place"


def test_the_page_has_a_section_for_whatever_there_is(made):
    elements = Elements((made / "reports" / "made-first.html").read_text())
    titles = [attributes["id"] for tag, attributes in elements.tags if tag == "h2"]
    for title in ("Overview", "Scores", "Certainty", "Map", "Training", "Classes", "Fewer labels", "Provenance"):
        assert title in elements.text
    assert len(titles) == 8
    assert elements.open == []


def test_charts_and_numbers_lie_beside_it(made):
    names = {path.name for path in (made / "reports").iterdir()}
    assert names == {"made-first.html", "made-first.json", "made-first.csv", "made-first.figures"}
    figures = {path.stem for path in (made / "reports" / "made-first.figures").iterdir()}
    assert {"interval-made-genre-0", "training-loss", "map-0", "classes-made-genre", "efficiency-made-genre"} <= figures


def test_the_same_run_gives_the_same_bytes(workplace, made):
    assert report.main(["made", "--run", "first"]) == 0
    for path in sorted((made / "reports").rglob("*")):
        if path.is_file():
            assert (workplace / path.relative_to(made)).read_bytes() == path.read_bytes(), path.name


def test_its_size_is_told_and_a_large_one_is_warned_of(workplace, capsys, monkeypatch):
    monkeypatch.setattr(report, "MAILED_BYTES", 500_000)
    shutil.rmtree(locations.mel_store("made"))
    assert report.main(["--name", "page"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "  no map: there is no mel store at stores/made.zarr"
    assert told[1].startswith("report: reports/page.html (0.9")
    assert told[1].endswith(" MB)")
    assert "too much for most mail" in told[2]


def test_published_scores_are_shown_beside(workplace):
    shutil.rmtree(locations.mel_store("made"))
    (workplace / "q.csv").write_text("row,column,value,source\nTheirs,made/genre/accuracy,0.91,<script>\n")
    assert report.main(["--quoted", "q.csv"]) == 0
    text = Elements((workplace / "reports" / "made-first.html").read_text()).text
    assert "Theirs0.9100.910" in text
    assert "Quoted from: <script>." in text


def test_quotes_that_are_not_on_the_page_are_named_by_the_command(workplace, capsys):
    shutil.rmtree(locations.mel_store("made"))
    lines = ["a,made/genre/accuracy,0.9,s", "a,lab/mood/accuracy,0.5,s", "a,giantsteps/key/accuracy,0.5,s"]
    (workplace / "q.csv").write_text("\n".join(["row,column,value,source", *lines, ""]))
    assert report.main(["--quoted", "q.csv"]) == 0
    named = "lab/mood/accuracy (line 3), giantsteps/key/accuracy (line 4)"
    assert f"  quoted in q.csv, but not on this page: {named}\n" in capsys.readouterr().out


def test_a_mistyped_column_is_an_error_before_the_work(workplace, capsys):
    (workplace / "q.csv").write_text("row,column,value,source\na,gtzan/genre/acc,0.9,s\n")
    assert report.main(["--quoted", "q.csv"]) == 2
    told = capsys.readouterr().err
    assert "q.csv, line 2: there is no column 'gtzan/genre/acc'; known are " in told
    assert "gtzan/genre/accuracy" in told
    assert not (workplace / "reports").exists()


def test_a_quote_of_the_users_stands_instead_of_ours(workplace, monkeypatch):
    shutil.rmtree(locations.mel_store("made"))
    ours = (report.quoted.Quote("Theirs", "made/genre/accuracy", 0.5, "ours"),)
    monkeypatch.setattr(report.quoted, "own", lambda: ours)
    (workplace / "q.csv").write_text("row,column,value,source\nTheirs,made/genre/accuracy,0.91,newer\n")
    assert report.main(["--quoted", "q.csv"]) == 0
    text = Elements((workplace / "reports" / "made-first.html").read_text()).text
    assert "Theirs0.9100.910" in text
    assert "Quoted from: ours" not in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["made", "--run", "none"], "no run at runs/none; train one with `python -m model.train"),
        (["other"], "no scores of 'other' for run 'first'; make them with `python -m model.probe other`"),
        (["made", "--name", "a/b"], "name 'a/b' cannot be used"),
        (["made", "--map", "other"], "--map other: the page is about made; choose one of these"),
        (["made", "--audio", "-1"], "--audio -1: clips that can be heard are counted from 0"),
        (["made", "--quoted", "none.csv"], "no quoted scores at none.csv"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_one_line(workplace, capsys, arguments, told):
    assert report.main(arguments) == 2
    assert told in capsys.readouterr().err
    assert not (workplace / "reports").exists()


def test_a_map_that_was_asked_for_is_an_error_without_its_store(workplace, capsys):
    shutil.rmtree(locations.mel_store("made"))
    assert report.main(["--map", "made"]) == 2
    assert "no mel store at stores/made.zarr" in capsys.readouterr().err
