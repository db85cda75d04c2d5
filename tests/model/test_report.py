"""The command `model.report`: a run and its scores become a self-contained page and files beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import synthetic_report
from html_elements import Elements
from small_stores import store_maker

from model import report as command
from model.page import config, quoted, report
from stores import locations
from stores.mel_store import MelStore


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A working directory with the run `first`, which has one task, and its page."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthetic_report.one_task(store_maker(folder))
        assert command.main([]) == 0
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, finished):
    """A copy of the working directory without the page."""
    shutil.copytree(finished, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    shutil.rmtree("reports")
    return tmp_path / "place"


def test_the_page_has_a_section_for_everything_that_exists(finished):
    elements = Elements((finished / "reports" / "made-first.html").read_text())
    titles = [attributes["id"] for tag, attributes in elements.tags if tag == "h2"]
    for title in ("Overview", "Scores", "Confidence intervals", "Map", "Training", "Classes", "Label efficiency"):
        assert title in elements.text
    assert "Provenance" in elements.text
    assert len(titles) == 8
    assert elements.open == []


def test_charts_and_numbers_are_written_beside_the_page(finished):
    names = {path.name for path in (finished / "reports").iterdir()}
    assert names == {"made-first.html", "made-first.json", "made-first.csv", "made-first.figures"}
    figures = {path.stem for path in (finished / "reports" / "made-first.figures").iterdir()}
    assert {"interval-made-genre-0", "training-loss", "map-0", "classes-made-genre", "efficiency-made-genre"} <= figures


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(workplace, finished):
    assert command.main(["made", "--run", "first"]) == 0
    for path in sorted((finished / "reports").rglob("*")):
        if path.is_file():
            assert (workplace / path.relative_to(finished)).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_the_size_is_printed_with_a_warning_if_it_is_large(workplace, capsys, monkeypatch):
    monkeypatch.setattr(report, "MAX_MAIL_BYTES", 500_000)
    shutil.rmtree(locations.mel_store("made"))
    assert command.main(["--name", "page"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run: first"
    assert lines[1] == "  no map: there is no mel store at stores/made.zarr"
    assert lines[2].startswith("report: reports/page.html (1.0")
    assert lines[2].endswith(" MB)")
    assert "which many mail servers reject" in lines[3]


def test_published_scores_are_shown_beside_ours(workplace):
    shutil.rmtree(locations.mel_store("made"))
    (workplace / "q.csv").write_text("row,column,value,source\nTheirs,made/genre/accuracy,0.91,<script>\n")
    assert command.main(["--quoted", "q.csv"]) == 0
    text = Elements((workplace / "reports" / "made-first.html").read_text()).text
    assert "Theirs0.9100.910" in text
    assert "Quoted from: <script>." in text


@pytest.mark.slow
def test_quotes_that_are_not_on_the_page_are_printed(workplace, capsys):
    shutil.rmtree(locations.mel_store("made"))
    lines = ["a,made/genre/accuracy,0.9,s", "a,lab/mood/accuracy,0.5,s", "a,giantsteps/key/accuracy,0.5,s"]
    (workplace / "q.csv").write_text("\n".join(["row,column,value,source", *lines, ""]))
    assert command.main(["--quoted", "q.csv"]) == 0
    columns = "lab/mood/accuracy (line 3), giantsteps/key/accuracy (line 4)"
    assert f"  quoted in q.csv, but not on this page: {columns}\n" in capsys.readouterr().out


def test_a_mistyped_column_is_an_error_before_the_work(workplace, capsys):
    (workplace / "q.csv").write_text("row,column,value,source\na,gtzan/genre/acc,0.9,s\n")
    assert command.main(["--quoted", "q.csv"]) == 2
    message = capsys.readouterr().err
    assert "q.csv, line 2: there is no column 'gtzan/genre/acc'; known are " in message
    assert "gtzan/genre/accuracy" in message
    assert not (workplace / "reports").exists()


@pytest.mark.slow
def test_a_quote_of_the_user_replaces_a_packaged_one(workplace, monkeypatch):
    shutil.rmtree(locations.mel_store("made"))
    packaged = (quoted.Quote("Theirs", "made/genre/accuracy", 0.5, "ours"),)
    monkeypatch.setattr(quoted, "packaged", lambda: packaged)
    (workplace / "q.csv").write_text("row,column,value,source\nTheirs,made/genre/accuracy,0.91,newer\n")
    assert command.main(["--quoted", "q.csv"]) == 0
    text = Elements((workplace / "reports" / "made-first.html").read_text()).text
    assert "Theirs0.9100.910" in text
    assert "Quoted from: ours" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["made", "--run", "none"], "no run at runs/none; train one with `python -m model.train"),
        (["other"], "no scores of 'other' for run 'first'; make them with `python -m model.probe other`"),
        (["made", "--name", "a/b"], "name 'a/b' cannot be used"),
        (["made", "--map", "other"], "--map must be a dataset of the page: made (got 'other')"),
        (["made", "--audio", "-1"], "--audio must be at least 0 (got -1)"),
        (["made", "--quoted", "none.csv"], "no quoted scores at none.csv"),
    ],
)
def test_an_invalid_argument_is_an_error_without_a_page(workplace, capsys, arguments, message):
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (workplace / "reports").exists()


def test_a_requested_map_without_its_store_is_an_error(workplace, capsys):
    shutil.rmtree(locations.mel_store("made"))
    assert command.main(["--map", "made"]) == 2
    assert "no mel store at stores/made.zarr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "audio", "datasets"),
    [
        ([], 0, ()),
        (["--audio"], config.DEFAULT_AUDIO_CLIPS, ()),
        (["--audio", "--run", "x"], config.DEFAULT_AUDIO_CLIPS, ()),
        (["--audio", "7"], 7, ()),
        (["--audio=7", "made"], 7, ("made",)),
        (["made", "other", "--audio"], config.DEFAULT_AUDIO_CLIPS, ("made", "other")),
    ],
)
def test_the_audio_flag_may_stand_without_a_number(monkeypatch, words, audio, datasets):
    received = []
    monkeypatch.setattr(report, "report", received.append)
    assert command.main(words) == 0
    assert [(settings.audio, settings.datasets) for settings in received] == [(audio, datasets)]


@pytest.mark.slow
def test_a_start_removes_the_pictures_that_a_killed_report_has_left(workplace):
    left = [
        workplace / "reports" / ".made-first.html.tmp-4194304",
        workplace / "reports" / "made-first.figures" / ".map-0.svg.tmp-4194304",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert command.main([]) == 0
    assert not list((workplace / "reports").rglob(".*"))


@pytest.mark.slow
def test_the_map_shows_the_labels_that_the_mel_store_has_now(workplace):
    store = MelStore.open("stores/made.zarr")
    store.update([replace(row, labels={"mood": "calm" if row.index % 2 else "wild"}) for row in store.rows])
    assert command.main([]) == 0
    page = (workplace / "reports" / "made-first.html").read_text()
    assert '"calm"' in page


@pytest.mark.slow
def test_the_mel_store_of_the_map_can_be_stated(workplace, capsys):
    shutil.move("stores/made.zarr", "moved.zarr")
    assert command.main([]) == 0
    assert "no map: there is no mel store at stores/made.zarr" in capsys.readouterr().out
    assert command.main(["--store", "moved.zarr"]) == 0
    assert "no map" not in capsys.readouterr().out


def test_features_of_changed_audio_are_no_map(workplace, capsys):
    store = MelStore.open("stores/made.zarr")
    store.update([replace(row, source_digest="x") if row.index == 3 else row for row in store.rows])
    assert command.main([]) == 2
    assert "made.first.features.zarr is stale, because stores/made.zarr has changed since: 1 clip" in (
        capsys.readouterr().err
    )
