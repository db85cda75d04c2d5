"""The command `pipeline.ingest`: folders of all kinds become stores, and every file is stored or counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import audioset_on_disk
import numpy as np
import pytest
import synthetic_audio
import zarr
from distributed import Client

from pipeline import ingest as command
from pipeline import shard
from pipeline.audio.decode import decode, file_digest
from pipeline.audio.mel import mel_power
from pipeline.ingestion import ingest
from stores.mel_store import MelStore
from stores.quantize import Quantizer
from stores.shards import ShardSet

BAD = {"text.wav": b"no audio", "empty.mp3": b"", "zeros.flac": bytes(5000)}


@pytest.fixture
def mixed(tmp_path):
    """Four good files in four formats, four bad files, and a text file."""
    root = tmp_path / "music"
    synthetic_audio.write(root / "a.wav", synthetic_audio.chords(3.0))
    synthetic_audio.write(root / "deep" / "er" / "b.m4a", synthetic_audio.noise(2.0, 44_100), 44_100)
    synthetic_audio.write(root / "C.ogg", np.stack([synthetic_audio.sine(440, 2.0, 48_000)] * 2, axis=1), 48_000)
    synthetic_audio.write(root / "with space.flac", synthetic_audio.chirp(100, 7000, 2.0, 96_000), 96_000)
    synthetic_audio.write(root / "short.wav", synthetic_audio.sine(440, 0.05))
    for name, content in BAD.items():
        (root / name).write_bytes(content)
    (root / "readme.txt").write_text("not audio")
    return root


def _ingest(dataset, *arguments):
    return command.main([dataset, "--scheduler", "threads", "--workers", "2", *map(str, arguments)])


def test_good_files_are_stored_and_bad_files_are_counted(mixed, tmp_path, capsys):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr") == 0
    store = MelStore.open(tmp_path / "m.zarr")
    written = {row.id for row in store.rows if row.state == "written"}
    assert written == {"a.wav", "deep/er/b.m4a", "C.ogg", "with space.flac"}
    reasons = {row.id: row.reason for row in store.rows if row.state == "refused"}
    assert set(reasons) == {*BAD, "short.wav"}
    assert reasons["short.wav"] == "too_short"
    assert reasons["text.wav"] == "unreadable"
    printed = capsys.readouterr().out
    assert "found: 8 clips" in printed
    assert "written: 4 clips (4 without a split), 0 of them silent\n" in printed
    assert "warnings" not in printed
    assert "1 too_short" in printed
    assert "rejected 'text.wav': unreadable:" in printed
    log = (tmp_path / "m.ingest.log").read_text()
    assert "rejected 'text.wav': unreadable:" in log
    assert log.splitlines()[-1].endswith("ended")
    report = json.loads((tmp_path / "m.zarr" / "report.json").read_text())
    assert (report["written"], report["refused"]["too_short"]) == (4, 1)


def test_a_truncated_file_is_stored_with_a_warning(tmp_path, capsys):
    path = synthetic_audio.write(tmp_path / "music" / "x.flac", synthetic_audio.chords(9.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr") == 0
    printed, log = capsys.readouterr().out, (tmp_path / "m.ingest.log").read_text()
    (row,) = MelStore.open(tmp_path / "m.zarr").rows
    assert "short" in row.warnings.split("|")
    assert re.search(r"^  warnings: 1 clip \(.*1 short.*\)$", printed, re.MULTILINE)
    for text in (printed, log):
        assert re.search(r"warning 'x\.flac': short: \d.* s are stored, but .* states 9\.00 s", text)
    report = json.loads((tmp_path / "m.zarr" / "report.json").read_text())
    assert (report["complaints"], report["warnings"]["short"]) == (1, 1)


def test_ten_warnings_are_printed_and_the_log_has_all(tmp_path, capsys):
    for number in range(12):
        path = synthetic_audio.write(tmp_path / "music" / f"{number:02}.wav", synthetic_audio.chords(4.0))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr") == 0
    printed, log = capsys.readouterr().out, (tmp_path / "m.ingest.log").read_text()
    assert "  warnings: 12 clips (12 short)\n" in printed
    assert printed.count("  warning '") == 10
    assert f"... and 2 more, all in {tmp_path / 'm.ingest.log'}" in printed
    assert log.count("WARNING warning '") == 12


def test_files_that_may_be_too_long_are_counted_as_the_longest(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.ingestion.plan.bound_seconds", lambda *_: 1e9)
    words = ["--root", mixed, "--store", tmp_path / "m.zarr", "--max-seconds", "60", "--dry-run"]
    assert _ingest("folder", *words) == 0
    assert "of unknown or too great a length: 8 of them, counted as 60 s (--max-seconds)" in capsys.readouterr().out


def test_stored_mel_is_within_half_a_quantizer_step(mixed, tmp_path):
    _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr")
    store = MelStore.open(tmp_path / "m.zarr")
    for row in [row for row in store.rows if row.state == "written"]:
        power = mel_power(decode(mixed / row.source, 16_000).samples, store.spec)
        stored = store.clip(row.index)
        assert stored.shape == power.shape == (128, row.frames)
        inside = stored > 0
        assert np.abs(np.log10(power[inside] / stored[inside])).max() <= 0.5001 * store.quantizer.step_decades
        assert power[~inside].max(initial=0) < 10 ** (
            store.quantizer.low_decades - 0.499 * store.quantizer.step_decades
        )


def test_the_second_run_does_nothing(mixed, tmp_path, capsys):
    _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr")
    capsys.readouterr()
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr") == 0
    assert "nothing to do: every clip is in the store already" in capsys.readouterr().out


def test_a_dry_run_prints_the_estimate_and_writes_nothing(mixed, tmp_path, capsys):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "8 clips" in printed
    assert "MB on disk" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


def test_a_missing_root_is_an_error_and_nothing_is_written(tmp_path, capsys):
    assert _ingest("folder", "--root", tmp_path / "none", "--store", tmp_path / "m.zarr") == 2
    message = capsys.readouterr().err
    assert f"error: {tmp_path / 'none'} is not a folder; use --root with the folder of the audio" in message
    assert not (tmp_path / "m.zarr").exists()


def test_a_folder_without_audio_is_an_error(tmp_path, capsys):
    assert _ingest("folder", "--root", tmp_path, "--store", tmp_path / "m.zarr") == 2
    assert "no audio below" in capsys.readouterr().err


def test_an_unknown_dataset_is_an_error(capsys):
    with pytest.raises(SystemExit) as ended:
        _ingest("nonesuch")
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.slow
def test_no_worker_needs_more_memory_than_estimated(mixed, tmp_path, capsys):
    arguments = ["folder", "--root", str(mixed), "--store", str(tmp_path / "m.zarr"), "--workers", "2"]
    assert command.main(arguments) == 0  # in processes: a thread's peak is that of the whole test run
    printed = capsys.readouterr().out
    stated = int(re.search(r"at most (\d+) MB a worker\n", printed)[1])
    reported = int(re.search(r"s, at most (\d+) MB a worker", printed)[1])
    assert 0 < reported <= stated


def test_work_that_does_not_fit_into_memory_is_rejected_at_once(mixed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ingest, "available_bytes", lambda: 1_000_000)
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr") == 2
    assert "2 workers need up to" in capsys.readouterr().err
    assert not (tmp_path / "m.zarr").exists()


def test_a_limit_reads_the_first_clips_and_a_later_run_the_rest(mixed, tmp_path, capsys):
    store = tmp_path / "m.zarr"
    assert _ingest("folder", "--root", mixed, "--store", store, "--limit", "3") == 0
    first = MelStore.open(store).rows
    assert len(first) == 3
    assert _ingest("folder", "--root", mixed, "--store", store) == 0
    rows = MelStore.open(store).rows
    assert len(rows) == 8
    assert rows[:3] == first
    assert _ingest("folder", "--root", mixed, "--store", store, "--limit", "0") == 2
    assert "--limit must be at least 1 (got 0)" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_finer_types_are_stored_on_request_and_sharded_as_bytes(mixed, tmp_path, dtype):
    store = tmp_path / "m.zarr"
    synthetic_audio.write(mixed / "long.wav", synthetic_audio.chords(5.0))
    assert _ingest("folder", "--root", mixed, "--store", store, "--dtype", dtype) == 0
    assert zarr.open(store, mode="r")["mel"].dtype == dtype
    assert shard.main([str(store)]) == 0
    assert ShardSet.open(store.with_suffix(".shards")).quantizer == Quantizer()


def test_a_type_that_cannot_be_stored_is_an_error(mixed, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", "--dtype", "int3")
    assert ended.value.code == 2
    assert "invalid choice 'int3'" in capsys.readouterr().err


def test_labels_and_splits_of_a_folder_come_from_a_csv(mixed, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,split,mood\na.wav,train,calm\nC.ogg,test,wild\ngone.wav,test,calm\n")
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", "--labels", table) == 0
    rows = {row.id: row for row in MelStore.open(tmp_path / "m.zarr").rows}
    assert (rows["a.wav"].split, rows["a.wav"].labels) == ("train", {"mood": "calm"})
    assert (rows["C.ogg"].split, rows["C.ogg"].labels) == ("test", {"mood": "wild"})


def test_default_places_are_data_and_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYNA_DATA", raising=False)
    synthetic_audio.write(tmp_path / "data" / "folder" / "a.wav", synthetic_audio.chords(1.0))
    assert _ingest("folder") == 0
    assert len(MelStore.open("stores/folder.zarr")) == 1


def test_a_recording_over_the_limit_is_rejected(tmp_path):
    synthetic_audio.write(tmp_path / "music" / "long.wav", synthetic_audio.chords(3.0))
    _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr", "--max-seconds", "2")
    (row,) = MelStore.open(tmp_path / "m.zarr").rows
    assert (row.state, row.reason) == ("refused", "too_long")


@pytest.mark.parametrize(
    "option", [("--max-seconds", "0"), ("--max-seconds", "inf"), ("--decode-seconds", "-1"), ("--max-seconds", "nan")]
)
def test_impossible_limits_are_an_error(mixed, tmp_path, capsys, option):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", *option) == 2
    assert "error: " in capsys.readouterr().err


def test_a_file_name_that_is_not_utf8_is_rejected_and_the_others_are_stored(tmp_path, capsys):
    path = synthetic_audio.write(tmp_path / "music" / "a.wav", synthetic_audio.chords(1.0))
    shutil.copy(path, path.with_name(os.fsdecode(b"caf\xe9.wav")))
    for _ in range(2):  # the second run recognizes it
        assert _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr") == 0
        good, bad = MelStore.open(tmp_path / "m.zarr").rows
        assert (good.id, good.state) == ("a.wav", "written")
        assert (bad.id, bad.state, bad.reason) == (r"b'caf\xe9.wav'", "refused", "bad_name")
    assert "is not UTF-8; rename it" in capsys.readouterr().out


def test_a_moved_folder_continues_and_another_folder_does_not(mixed, tmp_path, capsys):
    store = tmp_path / "m.zarr"
    _ingest("folder", "--root", mixed, "--store", store)
    mixed.rename(tmp_path / "moved")
    assert _ingest("folder", "--root", tmp_path / "moved", "--store", store) == 0
    synthetic_audio.write(tmp_path / "other" / "a.wav", synthetic_audio.noise(2.0))
    assert _ingest("folder", "--root", tmp_path / "other", "--store", store) == 2
    assert "does not hold the same" in capsys.readouterr().err


def test_audioset_in_three_layouts_is_read_by_one_command(tmp_path, capsys):
    root = audioset_on_disk.write_lists(tmp_path / "audioset")
    files = {}
    for number, youtube_id in enumerate(sorted(audioset_on_disk.MUSIC_IDS)):
        files[youtube_id] = synthetic_audio.write(
            tmp_path / "made" / f"{youtube_id}.flac", synthetic_audio.chords(5.0, seed=number)
        )
    ids = list(files)
    synthetic_audio.pack(root / "bal_train00.tar", [files[one] for one in ids[:3]])
    synthetic_audio.pack(root / "data" / "unbal_train" / "0.parquet", [files[one] for one in ids[3:5]])
    for youtube_id in ids[5:]:
        shutil.copy(files[youtube_id], root / f"Y{youtube_id}.flac")
    assert _ingest("audioset", "--root", root, "--store", tmp_path / "a.zarr") == 0
    rows = {row.id: row for row in MelStore.open(tmp_path / "a.zarr").rows}
    assert set(rows) == set(ids)
    assert {row.state for row in rows.values()} == {"written"}
    for youtube_id, row in rows.items():
        assert row.source_digest == file_digest(files[youtube_id])
    evaluation = {one[0] for one in audioset_on_disk.SEGMENTS["eval"]}
    assert {name for name, row in rows.items() if row.split == "test"} == evaluation & set(ids)
    printed = capsys.readouterr().out
    assert f"found: {len(ids)} clips" in printed
    assert shard.main([str(tmp_path / "a.zarr")]) == 0
    assert f"{len(evaluation & set(ids))} split test" in capsys.readouterr().out


def test_missing_audioset_lists_are_an_error_that_says_where_to_get_them(tmp_path, capsys):
    synthetic_audio.write(tmp_path / "audioset" / "abcdefghijk.wav", synthetic_audio.chords(1.0))
    assert _ingest("audioset", "--root", tmp_path / "audioset", "--store", tmp_path / "a.zarr") == 2
    error = capsys.readouterr().err
    assert "balanced_train_segments.csv" in error
    assert str(tmp_path / "audioset") in error
    assert "us_audioset/youtube_corpus" in error


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def tcp_cluster(tmp_path):
    """Address of a scheduler with two workers, all processes of their own, started as on a real cluster."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    port = address.rsplit(":", 1)[1]
    place = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = ["distributed.cli.dask_scheduler", *place, "--port", port]
    worker = ["distributed.cli.dask_worker", address, *place, "--nthreads", "1", "--local-directory", str(tmp_path)]
    started = [
        subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (scheduler, worker, worker)
    ]
    yield address
    for process in started:
        process.terminate()
    for process in started:
        process.wait(20)


@pytest.mark.slow
def test_a_cluster_over_tcp_makes_the_same_store(mixed, tmp_path, tcp_cluster):
    for number in range(6):
        synthetic_audio.write(mixed / f"more-{number}.flac", synthetic_audio.chords(3.0, seed=number))
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "here.zarr") == 0
    with Client(tcp_cluster, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
    remote = ["folder", "--root", str(mixed), "--store", str(tmp_path / "there.zarr"), "--scheduler", tcp_cluster]
    assert command.main(remote) == 0
    here, there = MelStore.open(tmp_path / "here.zarr"), MelStore.open(tmp_path / "there.zarr")
    assert there.rows == here.rows
    for row in [row for row in here.rows if row.state == "written"]:
        np.testing.assert_array_equal(there.codes(row.index), here.codes(row.index))
