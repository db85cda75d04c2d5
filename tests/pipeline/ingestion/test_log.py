"""Tests of the log file of a command."""

from __future__ import annotations

import logging

import pytest

from pipeline.ingestion.log import log_to_file
from stores.errors import InvalidInput

LOG = logging.getLogger("pipeline.somewhere")


def test_each_run_appends_its_messages_to_the_file(tmp_path):
    for word in ("first", "second"):
        with log_to_file(tmp_path / "deep" / "x.log"):
            LOG.info("the %s run", word)
    lines = (tmp_path / "deep" / "x.log").read_text().splitlines()
    assert [line.split(" ", 3)[3].split(":")[0] for line in lines] == [
        *("started", "the first run", "ended"),
        *("started", "the second run", "ended"),
    ]


def test_the_error_that_stopped_a_run_is_its_last_message(tmp_path):
    with pytest.raises(ZeroDivisionError), log_to_file(tmp_path / "x.log"):
        raise ZeroDivisionError("for the test")
    assert (tmp_path / "x.log").read_text().endswith("ERROR stopped: ZeroDivisionError: for the test\n")


def test_nothing_is_logged_after_the_end(tmp_path):
    with log_to_file(tmp_path / "x.log"):
        pass
    before = (tmp_path / "x.log").read_text()
    LOG.info("later")
    assert (tmp_path / "x.log").read_text() == before


def test_any_text_can_be_logged(tmp_path):
    with log_to_file(tmp_path / "x.log"):
        LOG.info("name %s", "caf\udce9.wav")
    assert "caf\\udce9.wav" in (tmp_path / "x.log").read_text()


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InvalidInput, match=r"cannot be written.*choose a --store"),
        log_to_file(tmp_path / "file" / "x.log"),
    ):
        pass
