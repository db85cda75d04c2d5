"""The whole chain on a small corpus: killed while it trains, started again, and it ends with a page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from stores import locations
from stores.features import FeatureStore
from stores.mel_store import MelStore

COMMAND = [sys.executable, "-m", "dags.demo", "--clips", "600", "--train-steps", "20", "--batch", "256"]
PATIENCE_SECONDS = 900
RUN = "demo-tiny-0"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE_SECONDS)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


def _environment():
    return {name: value for name, value in os.environ.items() if name != "MYNA_DATA"}


def _has_trained_a_step(folder):
    metrics = folder / locations.run(RUN) / "metrics.jsonl"
    return metrics.is_file() and metrics.read_text().endswith("\n")


def _files(folder):
    """When each file below `folder` was written, but for logs, which every run goes on with."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


@pytest.fixture(scope="module")
def killed(workplace):
    """The first try, killed in its training; what lay there then."""
    with (workplace / "first.txt").open("w") as output:
        first = subprocess.Popen(
            COMMAND, cwd=workplace, env=_environment(), stdout=output, stderr=output, start_new_session=True
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _has_trained_a_step(workplace):
            assert first.poll() is None, (workplace / "first.txt").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    assert not (workplace / locations.run(RUN) / locations.ENCODER_FILE).exists()
    return {name: _files(workplace / name) for name in ("data", "stores")}


@pytest.fixture(scope="module")
def finished(workplace, killed):
    """What the second try printed."""
    second = subprocess.run(
        COMMAND,
        cwd=workplace,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert second.returncode == 0, second.stderr[-3000:]
    return second.stdout


def test_the_second_try_finishes_and_tells_of_every_step(finished):
    steps = [line[3:] for line in finished.splitlines() if line.startswith("== ")]
    assert steps == ["ingest", "shard", "train", "extract", "probe", "report"]
    assert "demo / key: 24 classes" in finished
    assert "demo / genre: " in finished
    assert finished.count("trained ") >= 2


def test_it_ends_with_a_page(workplace, finished):
    page = workplace / locations.report(f"demo-{RUN}")
    assert f"report: {page.relative_to(workplace)}" in finished
    assert page.read_text().endswith("</html>\n")
    assert page.stat().st_size < 20e6


def test_what_was_finished_before_the_kill_was_not_done_again(workplace, killed, finished):
    assert "every clip is there already" in finished
    for name, before in killed.items():
        after = _files(workplace / name)
        assert {path: after[path] for path in before} == before


def test_no_step_is_told_of_twice(workplace, finished):
    lines = (workplace / locations.run(RUN) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 10, 19]


def test_there_is_an_embedding_for_every_clip(workplace, finished):
    store = MelStore.open(workplace / locations.mel_store("demo"))
    features = FeatureStore.read(workplace / locations.feature_store("demo", RUN))
    assert len(store) == len(features.rows) == 600
    assert features.embeddings.shape == (600, 192)
