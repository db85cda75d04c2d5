"""The study of findings: its runs, the files of its results, and what is concluded from them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from model.evidence import findings, findings_table
from model.evidence.findings import FINDINGS, RUNS, RunResult, StudyRun
from model.evidence.findings_page import FindingsPage
from model.evidence.findings_sweeps import StudyStores, sweeps
from model.evidence.rendered_probes import GroupCounts, probe
from model.training.config import TrainSettings
from stores.command_line import parse
from stores.errors import CorruptArtifact, InvalidInput
from stores.manifest import ClipRow

CLIPS = (12,) * 20
STORES = StudyStores("training", "probed")


def _counts(share, seed=0):
    points = np.random.default_rng(seed).binomial(12, share, 20)
    return GroupCounts(tuple(map(float, points)), CLIPS)


def _result(run, key, genre, seed=0, slices=(), **recorded):
    scores = {name: {"key": _counts(key, 1), "genre": _counts(genre, 2)} for name in ("all", *slices)}
    return RunResult(run, seed, 100, 10, 1.5, "x86", ("a" * 16, "b" * 16), scores, **recorded)


def test_every_finding_compares_two_runs_of_the_study():
    names = {run.name: run for run in RUNS}
    assert len(names) == len(RUNS)
    for finding in FINDINGS:
        for side in (finding.better, finding.worse):
            run, _, reading = side.partition("/")
            assert run in names
            assert not reading or (names[run].patches == "hybrid" and reading in findings.HYBRID_READINGS)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_words_of_a_run_are_settings_of_training(run):
    settings = parse(TrainSettings, ("--store", "x", *run.words(38_400, 2)), "model.train")
    optimization = settings.optimization
    assert optimization.seed == 2
    assert optimization.batch * optimization.steps <= 1.02 * 38_400 * run.clip_share
    if run.trained:
        assert optimization.batch * optimization.steps >= 0.97 * 38_400 * run.clip_share


def test_equal_compute_means_equally_many_visible_patches():
    half = next(run for run in RUNS if run.name == "masked-50-compute")
    assert half.steps(38_400) * 24 == pytest.approx(StudyRun("vertical").steps(38_400) * 5, rel=0.01)


def test_a_result_is_read_as_written(tmp_path):
    result = _result("hybrid", 0.5, 0.4, seed=1, slices=("square", "vertical"))
    result.write(tmp_path)
    assert findings.read_results(tmp_path) == [result]
    assert (tmp_path / "hybrid-1.json").is_file()


def test_results_of_other_stores_and_other_files_are_rejected(tmp_path):
    result = _result("vertical", 0.5, 0.4)
    result.write(tmp_path)
    replace(result, seed=1, stores=("c" * 16, "b" * 16)).write(tmp_path)
    with pytest.raises(CorruptArtifact, match="results of 2 studies"):
        findings.read_results(tmp_path)
    (tmp_path / "vertical-1.json").write_text(json.dumps({"run": "vertical"}))
    with pytest.raises(CorruptArtifact, match=r"vertical-1\.json is no result"):
        findings.read_results(tmp_path)


def test_a_finding_holds_fails_or_cannot_be_told_by_its_interval():
    better, equal, worse = (_result("square", share, 0.5) for share in (0.3, 0.61, 0.9))
    vertical = _result("vertical", 0.6, 0.5)
    verdicts = [
        next(c.verdict for c in findings.conclusions([vertical, square]) if c.finding.task == "key")
        for square in (better, equal, worse)
    ]
    assert verdicts == ["holds", "cannot be told", "fails"]


def test_only_common_seeds_are_compared_and_scores_are_means_over_seeds():
    results = [_result("vertical", 0.6, 0.5, seed) for seed in (0, 1, 2)] + [_result("square", 0.3, 0.5, 1)]
    first = findings.conclusions(results)[0]
    assert first.seeds == 1
    vertical = next(score for score in findings.scores(results) if (score.name, score.task) == ("vertical", "key"))
    assert (vertical.seeds, vertical.deviation) == (3, 0.0)
    assert vertical.interval.low < vertical.value < vertical.interval.high


def test_the_table_and_the_figure_are_written(tmp_path):
    runs = ("vertical", "masked-95", "masked-75", "masked-50")
    path = findings_table.write([_result(run, 0.6, 0.5) for run in runs], tmp_path)
    assert "| masked-50 | 0." in path.read_text()
    assert "at equal clips | +0.000" in path.read_text()
    assert (tmp_path / "masking.png").read_bytes().startswith(b"\x89PNG")


def _swept(run, key, seed=0):
    return _result(run, key, 0.5, seed, config_digest="c" * 16, seconds_per_step=0.1 + seed, loss=2.0 + seed)


def test_runs_that_differ_in_one_setting_are_sweeps_of_means_over_seeds():
    names = ("masked-50", "vertical", "untrained")
    results = [_swept(run, share, seed) for run, share in zip(names, (0.4, 0.6, 0.3), strict=True) for seed in (0, 1)]
    swept = {sweep.over: sweep for sweep in sweeps([*results, _result("masked-95", 0.9, 0.5)], STORES, "command")}
    masking = swept["masking_ratio"]
    assert [point.value for point in masking.points] == [0.5, 0.9], "masked-95 records neither loss nor speed"
    half, usual = masking.points
    assert (half.masking_ratio, half.loss, half.seconds_per_step) == (0.5, 2.0, 0.1), "loss and speed of seed 0"
    assert half.store_digests == {"probed": "b" * 16}
    scores = {(score.task, score.representation): score.value for score in usual.scores}
    assert scores["key", "trained"] == _counts(0.6, 1).score
    assert scores["key", "untrained"] == _counts(0.3, 1).score
    assert set(swept) == {"masking_ratio"}, "all other settings have one value"


def test_the_page_shows_findings_sweeps_and_runs():
    results = [_swept(run, share) for run, share in (("vertical", 0.6), ("square", 0.3), ("masked-50", 0.6))]
    html = FindingsPage(results, sweeps(results, STORES, "python -m x"), "python -m x").html()
    assert "Of 4 statements" in html
    assert "Vertical patches hear keys better than square ones: holds" in html.replace('", "', " ").replace('","', " ")
    assert "masking ratio on training" in html
    assert "240 clips with a key" in html


def test_a_page_of_one_run_has_neither_findings_nor_sweeps():
    html = FindingsPage([_result("mae", 0.6, 0.5)], (), "python -m x").html()
    assert "All runs" in html
    assert "Sweeps" not in html


def _rows(splits):
    keys = ("C major", "G major")
    labels = [{"key": keys[i % 2], "genre": "ab"[i % 2]} for i in range(40)]
    return [ClipRow(i, str(i), str(i), f"g{i // 4}", splits[i // 4 % 3], labels[i], 0, 0, "written") for i in range(40)]


def test_the_probe_counts_credits_by_group():
    rows = _rows(("train", "valid", "test"))
    features = np.array([[i % 2, 0.5] for i in range(40)], np.float32)
    assert probe(features, rows, "genre").score == 1
    wrong = features.copy()
    test = [i for i, row in enumerate(rows) if row.split == "test"]
    wrong[test, 0] = 1 - wrong[test, 0]
    counts = probe(wrong, rows, "key")
    assert counts.clips == (4, 4, 4)
    assert counts.score == 0.25  # a fifth up for C major, another key for G major: half of 0.5
    with pytest.raises(InvalidInput, match="no clip of the split valid has the label key"):
        probe(features, _rows(("train", "test", "test")), "key")
