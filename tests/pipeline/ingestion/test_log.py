"""The log file of a command."""

from __future__ import annotations

import logging

import pytest

from pipeline.ingestion.log import logged
from stores.errors import InvalidInput

LOG = logging.getLogger("pipeline.somewhere")


def test_what_is_logged_stands_in_the_file_run_after_run(tmp_path):
    for word in ("first", "second"):
        with logged(tmp_path / "deep" / "x.log"):
            LOG.info("the %s run", word)
    lines = (tmp_path / "deep" / "x.log").read_text().splitlines()
    assert [line.split(" ", 3)[3].split(":")[0] for line in lines] == [
        *("started", "the first run", "ended"),
        *("started", "the second run", "ended"),
    ]


def test_the_error_that_stopped_a_run_stands_at_its_end(tmp_path):
    with pytest.raises(ZeroDivisionError), logged(tmp_path / "x.log"):
        raise ZeroDivisionError("made so")
    assert (tmp_path / "x.log").read_text().endswith("ERROR stopped: ZeroDivisionError: made so\n")


def test_nothing_is_logged_after_the_end(tmp_path):
    with logged(tmp_path / "x.log"):
        pass
    before = (tmp_path / "x.log").read_text()
    LOG.info("later")
    assert (tmp_path / "x.log").read_text() == before


def test_any_text_can_be_logged(tmp_path):
    with logged(tmp_path / "x.log"):
        LOG.info("name %s", "caf\udce9.wav")
    assert "caf\\udce9.wav" in (tmp_path / "x.log").read_text()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"cannot be written.*choose a --store"), logged(tmp_path / "file" / "x.log"):
        pass
