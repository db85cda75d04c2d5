"""The demo workflow on a small corpus: it is killed during training, started again, and then writes its report."""

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
TIMEOUT_SECONDS = 900
RUN = "demo-tiny-0"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * TIMEOUT_SECONDS)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return the folder in which the workflow runs."""
    return tmp_path_factory.mktemp("demo")


def _environment():
    return {name: value for name, value in os.environ.items() if name != "MYNA_DATA"}


def _has_trained_a_step(folder):
    metrics = folder / locations.run(RUN) / "metrics.jsonl"
    return metrics.is_file() and metrics.read_text().endswith("\n")


def _files(folder):
    """Return the modification time of each file below `folder` except logs, to which every run appends."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


@pytest.fixture(scope="module")
def files_at_kill(workplace):
    """Run the workflow, kill it during training, and return the files of its stores and audio at this time."""
    with (workplace / "first.txt").open("w") as output:
        first = subprocess.Popen(
            COMMAND, cwd=workplace, env=_environment(), stdout=output, stderr=output, start_new_session=True
        )
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not _has_trained_a_step(workplace):
            assert first.poll() is None, (workplace / "first.txt").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    assert not (workplace / locations.run(RUN) / locations.ENCODER_FILE).exists()
    return {name: _files(workplace / name) for name in ("data", "stores")}


@pytest.fixture(scope="module")
def second_output(workplace, files_at_kill):
    """Run the workflow again to its end, and return what it printed."""
    second = subprocess.run(
        COMMAND,
        cwd=workplace,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert second.returncode == 0, second.stderr[-3000:]
    return second.stdout


def test_the_second_run_finishes_and_reports_every_step(second_output):
    steps = [line[3:] for line in second_output.splitlines() if line.startswith("== ")]
    assert steps == ["ingest", "shard", "train", "extract", "extract-shipped", "probe", "report"]
    assert "demo / key: 24 classes" in second_output
    assert "demo / genre: " in second_output
    assert second_output.count("trained ") >= 2


def test_the_workflow_ends_with_a_report(workplace, second_output):
    page = workplace / locations.report(f"demo-{RUN}")
    assert f"report: {page.relative_to(workplace)}" in second_output
    assert page.read_text().endswith("</html>\n")
    assert page.stat().st_size < 20e6


def test_work_finished_before_the_kill_is_not_repeated(workplace, files_at_kill, second_output):
    assert "every clip is in the store already" in second_output
    for name, before in files_at_kill.items():
        after = _files(workplace / name)
        assert {path: after[path] for path in before} == before


def test_the_metrics_log_has_each_step_once(workplace, second_output):
    lines = (workplace / locations.run(RUN) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 10, 19]


def test_every_clip_has_an_embedding(workplace, second_output):
    store = MelStore.open(workplace / locations.mel_store("demo"))
    features = FeatureStore.read(workplace / locations.feature_store("demo", RUN))
    assert len(store) == len(features.rows) == 600
    assert features.embeddings.shape == (600, 192)
