"""Tests of the build of a store: rounds, restarts and growth give the same bytes as an uninterrupted build."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_audio
import zarr
from small_stores import SMALL_GRID

from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from pipeline.cluster.client import connect
from pipeline.datasets import folder
from pipeline.datasets.track import Track
from pipeline.ingestion import build as build_module
from pipeline.ingestion import plan, recording, region_task
from pipeline.ingestion.build import Build
from pipeline.ingestion.progress import IngestProgress
from stores import manifest
from stores.errors import DigestMismatch, InvalidInput
from stores.mel_store import MelStore
from stores.quantize import Quantizer

SECONDS = (1.0, 0.5, 1.9, 0.7, 3.1, 0.2)


@pytest.fixture(scope="module")
def client():
    with connect("threads", 2) as connected:
        yield connected


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """A folder of six recordings in two formats."""
    root = tmp_path_factory.mktemp("audio")
    for number, seconds in enumerate(SECONDS):
        suffix = "wav" if number % 2 else "flac"
        synthetic_audio.write(root / f"{number}.{suffix}", synthetic_audio.chords(seconds, seed=number))
    return root


def _build(root, path, client, tracks=None, **changed):
    build = Build("folder", Path(root), path, **{"grid": SMALL_GRID, **changed})
    rows = build.plan_manifest(folder.tracks(root).tracks if tracks is None else tracks, client)
    build.run(build.create_or_update(rows), client, IngestProgress())
    return MelStore.open(path)


def _mel(store):
    return zarr.open(store.path, mode="r")["mel"][:]


def _expected(root, store, index):
    samples = decode(root / store.rows[index].source, store.spec.sample_rate_hz).samples
    return mel_power(samples, store.spec)


def _assert_stores_all_clips(root, store):
    for row in store.rows:
        assert row.state == "written"
        np.testing.assert_array_equal(store.codes(row.index), Quantizer().encode(_expected(root, store, row.index)))
    spans = sorted((row.start_frame, row.start_frame + row.frames) for row in store.rows)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))


def _claims(monkeypatch, seconds_of):
    monkeypatch.setattr(plan, "bound_seconds", lambda path, *_: seconds_of.get(path.name, 0.5))


class Stopped(Exception):
    pass


def _stop_after(monkeypatch, regions):
    """Let region tasks fail after `regions` regions have been recorded."""

    def run(task):
        parts = task.store / "parts"
        if parts.exists() and len(list(parts.iterdir())) >= regions:
            raise Stopped
        return ORIGINAL(task)

    monkeypatch.setattr(region_task, "run", run)


ORIGINAL = region_task.run


def test_every_clip_is_its_quantized_mel(audio, tmp_path, client):
    store = _build(audio, tmp_path / "a.zarr", client)
    assert len({row.region_start for row in store.rows}) > 2
    _assert_stores_all_clips(audio, store)
    for index in range(len(SECONDS)):
        power, stored = _expected(audio, store, index), store.clip(index)
        inside = stored > 0
        error = np.abs(np.log10(power[inside]) - np.log10(stored[inside]))
        assert error.max() <= 0.5001 * store.quantizer.step_decades


def test_rows_state_the_source_of_each_clip(audio, tmp_path, client):
    store = _build(audio, tmp_path / "a.zarr", client)
    row = store.rows[0]
    assert (row.index, row.id, row.source, row.group) == (0, "0.flac", "0.flac", "0.flac")
    assert (row.source_rate_hz, row.frames) == (16_000, store.spec.frames_for(16_000))
    assert row.decoder.startswith("miniaudio ")
    assert len(row.source_digest) == 32


def test_building_twice_gives_the_same_bytes(audio, tmp_path, client):
    first, second = (_build(audio, tmp_path / name, client) for name in ("a.zarr", "b.zarr"))
    np.testing.assert_array_equal(_mel(first), _mel(second))
    assert first.rows == second.rows
    assert first.digest() == second.digest()


def test_a_finished_store_is_not_changed(audio, tmp_path, client, monkeypatch):
    store = _build(audio, tmp_path / "a.zarr", client)
    stamps = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    _stop_after(monkeypatch, 0)
    monkeypatch.setattr(plan, "bound_seconds", lambda *_: 1 / 0)
    _build(audio, store.path, client)
    assert {path: path.stat().st_mtime_ns for path in store.path.rglob("*")} == stamps


def test_finished_regions_of_an_interrupted_build_are_not_to_do(audio, tmp_path, client, monkeypatch):
    build = Build("folder", audio, tmp_path / "a.zarr", grid=SMALL_GRID)
    with monkeypatch.context() as patched:
        _stop_after(patched, 2)
        with pytest.raises(Stopped):
            _build(audio, build.path, client)
    rows = build.plan_manifest(folder.tracks(audio).tracks, client)
    finished = len(list((build.path / "parts").iterdir()))
    assert finished >= 2
    assert len(build.remaining_regions(rows)) == len(manifest.planned_regions(rows)) - finished
    _build(audio, build.path, client)
    assert build.remaining_regions(build.plan_manifest(folder.tracks(audio).tracks, client)) == []


@pytest.mark.parametrize("regions", [0, 1, 3])
def test_an_interrupted_build_gives_the_same_store(audio, tmp_path, client, monkeypatch, regions):
    with monkeypatch.context() as patched:
        _stop_after(patched, regions)
        with pytest.raises(Stopped):
            _build(audio, tmp_path / "a.zarr", client)
    assert any(row.state == "planned" for row in MelStore.open(tmp_path / "a.zarr", complete=False).rows)
    resumed, uninterrupted = _build(audio, tmp_path / "a.zarr", client), _build(audio, tmp_path / "b.zarr", client)
    np.testing.assert_array_equal(_mel(resumed), _mel(uninterrupted))
    assert resumed.rows == uninterrupted.rows


def test_old_clips_keep_index_and_bytes_when_the_folder_grows(tmp_path, client):
    root = tmp_path / "audio"
    for name in ("b", "d"):
        synthetic_audio.write(root / f"{name}.wav", synthetic_audio.chords(1.0, seed=ord(name)))
    before = _build(root, tmp_path / "a.zarr", client)
    rows, mel = before.rows, _mel(before)
    for name in ("a", "c", "e"):
        synthetic_audio.write(root / f"{name}.wav", synthetic_audio.chords(2.5, seed=ord(name)))
    grown = _build(root, tmp_path / "a.zarr", client)
    assert grown.rows[:2] == rows
    assert [row.id for row in grown.rows] == ["b.wav", "d.wav", "a.wav", "c.wav", "e.wav"]
    np.testing.assert_array_equal(_mel(grown)[:, : mel.shape[1]], mel)
    _assert_stores_all_clips(root, grown)


@pytest.mark.parametrize("wrong_headers", [(4,), (0, 2, 4), tuple(range(6))])
def test_clips_longer_than_their_headers_claim_are_stored_in_another_round(
    audio, tmp_path, client, monkeypatch, wrong_headers
):
    true_seconds = {path.name: SECONDS[int(path.stem)] for path in audio.iterdir()}
    claimed_seconds = {
        name: 0.01 if int(name[0]) in wrong_headers else seconds for name, seconds in true_seconds.items()
    }
    _claims(monkeypatch, claimed_seconds)
    monkeypatch.setattr(plan, "SLACK_SECONDS", 0.0)
    store = _build(audio, tmp_path / "a.zarr", client)
    _assert_stores_all_clips(audio, store)
    assert not (store.path / "parts").exists()


def _stopped_between_rounds(audio, path, client, monkeypatch):
    """Leave a store whose first round is recorded but not merged, with clips that did not fit into their regions."""
    _claims(monkeypatch, {})  # every header claims half a second
    with monkeypatch.context() as patched:
        patched.setattr(MelStore, "update", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            _build(audio, path, client)
    rows = MelStore.open(path, complete=False).merged_rows()
    assert {row.state for row in rows} == {"planned", "written"}


def test_a_kill_between_two_rounds_overwrites_nothing(audio, tmp_path, client, monkeypatch):
    _stopped_between_rounds(audio, tmp_path / "a.zarr", client, monkeypatch)
    store = _build(audio, tmp_path / "a.zarr", client)
    _assert_stores_all_clips(audio, store)
    uninterrupted = _build(audio, tmp_path / "b.zarr", client)
    np.testing.assert_array_equal(_mel(store), _mel(uninterrupted))
    assert store.rows == uninterrupted.rows


def test_growth_after_a_kill_between_two_rounds_overwrites_nothing(tmp_path, client, monkeypatch):
    root = tmp_path / "audio"
    for number, seconds in enumerate(SECONDS):
        synthetic_audio.write(root / f"{number}.wav", synthetic_audio.chords(seconds, seed=number))
    _stopped_between_rounds(root, tmp_path / "a.zarr", client, monkeypatch)
    synthetic_audio.write(root / "6.wav", synthetic_audio.chords(1.0, seed=6))
    _assert_stores_all_clips(root, _build(root, tmp_path / "a.zarr", client))


def test_a_kill_between_manifest_and_axis_is_repaired(audio, tmp_path, client, monkeypatch):
    _claims(monkeypatch, {})
    with monkeypatch.context() as patched:
        patched.setattr(
            MelStore, "extend_axis", lambda self: (_ for _ in ()).throw(Stopped) if self.rows[1].frames else None
        )
        with pytest.raises(Stopped):
            _build(audio, tmp_path / "a.zarr", client)
    _assert_stores_all_clips(audio, _build(audio, tmp_path / "a.zarr", client))


def test_a_region_without_a_good_clip_is_finished(tmp_path, client):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "bad.wav").write_text("no audio")
    store = _build(tmp_path / "audio", tmp_path / "a.zarr", client)
    assert (store.rows[0].state, store.rows[0].reason, store.rows[0].frames) == ("refused", "unreadable", 0)


def test_an_error_in_a_decoder_rejects_one_recording(audio, tmp_path, client, monkeypatch):
    original = recording.decode_stream
    fail = lambda path, *rest: 1 / 0 if path.name == "1.wav" else original(path, *rest)  # noqa: E731
    monkeypatch.setattr(recording, "decode_stream", fail)
    rows = _build(audio, tmp_path / "a.zarr", client).rows
    assert [row.id for row in rows if row.state == "refused"] == ["1.wav"]
    assert (rows[1].reason, rows[1].detail) == ("crashed", "ZeroDivisionError: division by zero")


def test_another_error_of_a_task_stops_the_build(audio, tmp_path, client, monkeypatch):
    monkeypatch.setattr(MelStore, "write_region", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _build(audio, tmp_path / "a.zarr", client)


def test_other_settings_for_an_existing_store_are_an_error(audio, tmp_path, client):
    store = _build(audio, tmp_path / "a.zarr", client)
    with pytest.raises(DigestMismatch, match="quantizer: store"):
        _build(audio, store.path, client, quantizer=Quantizer(-5, 5))


def test_a_stored_clip_stays_when_its_dataset_lists_another_file(audio, tmp_path, client):
    tracks = folder.tracks(audio).tracks
    before = _build(audio, tmp_path / "a.zarr", client, tracks[:2])
    swapped = [tracks[0], replace(tracks[1], path=tracks[2].path)]
    assert _build(audio, tmp_path / "a.zarr", client, swapped).rows == before.rows


def test_a_planned_clip_is_read_from_the_file_that_its_dataset_lists(audio, tmp_path, client, monkeypatch):
    tracks = folder.tracks(audio).tracks
    with monkeypatch.context() as patched:
        patched.setattr(region_task, "run", lambda task: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            _build(audio, tmp_path / "a.zarr", client, tracks[:2])
    swapped = [tracks[0], replace(tracks[1], path=tracks[2].path)]
    _assert_stores_all_clips(audio, _build(audio, tmp_path / "a.zarr", client, swapped))


def test_new_labels_reach_stored_clips_and_change_no_mel(audio, tmp_path, client):
    tracks = folder.tracks(audio).tracks
    before = _build(audio, tmp_path / "a.zarr", client, tracks)
    relabeled = [replace(track, labels={"mood": "calm"}, split="test", group="all") for track in tracks]
    after = _build(audio, tmp_path / "a.zarr", client, relabeled)
    assert [row.labels for row in after.rows] == [{"mood": "calm"}] * len(tracks)
    assert {(row.split, row.group) for row in after.rows} == {("test", "all")}
    assert after.digest() == before.digest()


def test_a_build_continues_after_its_folder_was_moved(tmp_path, client):
    synthetic_audio.write(tmp_path / "old" / "a.wav", synthetic_audio.chords(1.0))
    before = _build(tmp_path / "old", tmp_path / "a.zarr", client)
    (tmp_path / "old").rename(tmp_path / "new")
    synthetic_audio.write(tmp_path / "new" / "b.wav", synthetic_audio.chords(1.0, seed=1))
    after = _build(tmp_path / "new", tmp_path / "a.zarr", client)
    assert after.attributes["root"] == MelStore.open(after.path).attributes["root"] == str(tmp_path / "new")
    assert after.rows[0] == before.rows[0]
    _assert_stores_all_clips(tmp_path / "new", after)


def test_another_folder_for_an_existing_store_is_an_error(tmp_path, client):
    for number, name in enumerate(("first", "second")):
        synthetic_audio.write(tmp_path / name / "track-1.wav", synthetic_audio.chords(1.0, seed=number))
    _build(tmp_path / "first", tmp_path / "a.zarr", client)
    with pytest.raises(DigestMismatch, match=r"made from .*first, and .*second does not hold the same track-1\.wav"):
        _build(tmp_path / "second", tmp_path / "a.zarr", client)


def test_a_recording_is_decoded_once_and_its_clips_are_cut_correctly(tmp_path, client, monkeypatch):
    path = synthetic_audio.write(tmp_path / "audio" / "long.wav", synthetic_audio.chords(5.0))
    decoded, original = [], recording.decode_stream
    monkeypatch.setattr(recording, "decode_stream", lambda path, *rest: decoded.append(path) or original(path, *rest))
    spans = [(0.0, 1.5), (1.5, 1.5), (4.0, 1.5), (2.5, 0.0)]
    tracks = [
        Track(f"long-{i}", path, "long", cut_start_seconds=start, cut_seconds=seconds)
        for i, (start, seconds) in enumerate(spans)
    ]
    store = _build(tmp_path / "audio", tmp_path / "a.zarr", client, tracks)
    assert len(decoded) == 1
    samples = decode(path, 16_000).samples
    for row, (start, seconds) in zip(store.rows, spans, strict=True):
        stop = start + seconds if seconds else 5.0
        power = mel_power(samples[round(start * 16_000) : round(stop * 16_000)], store.spec)
        np.testing.assert_array_equal(store.codes(row.index), Quantizer().encode(power))


@pytest.mark.parametrize("container", ["tar", "parquet"])
def test_audio_in_containers_gives_the_same_mel_as_files(audio, tmp_path, client, container):
    tracks = folder.tracks(audio).tracks
    plain = _build(audio, tmp_path / "a.zarr", client, tracks)
    packed = synthetic_audio.pack(tmp_path / "packed" / f"x.{container}", [track.path for track in tracks])
    members = [
        replace(track, path=packed, member=track.path.name if container == "tar" else str(number))
        for number, track in enumerate(tracks)
    ]
    store = _build(tmp_path / "packed", tmp_path / "b.zarr", client, members)
    assert [row.source_digest for row in store.rows] == [row.source_digest for row in plain.rows]
    for index in range(len(tracks)):
        np.testing.assert_array_equal(store.codes(index), plain.codes(index))


@pytest.mark.parametrize("keeps_silence", [False, True])
def test_silence_is_rejected_for_training_and_flagged_for_benchmarks(tmp_path, client, keeps_silence):
    root = tmp_path / "audio"
    synthetic_audio.write(root / "hush.wav", np.full(16_000, 2.0**-15, np.float32), subtype="FLOAT")
    synthetic_audio.write(root / "quiet.wav", synthetic_audio.sine(440, amplitude=1e-3), subtype="FLOAT")
    hush, quiet = _build(root, tmp_path / "a.zarr", client, keeps_silence=keeps_silence).rows
    assert (quiet.state, quiet.silent) == ("written", False)
    assert (hush.state, hush.reason, hush.silent) == (
        ("written", "", True) if keeps_silence else ("refused", "silent", False)
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_dtype_stores_the_mel_within_half_a_step(audio, tmp_path, client, dtype):
    quantizer = Quantizer.from_dtype(dtype)
    store = _build(audio, tmp_path / "a.zarr", client, quantizer=quantizer)
    assert _mel(store).dtype == dtype
    for row in store.rows:
        power = _expected(audio, store, row.index)
        if dtype == "float32":
            np.testing.assert_array_equal(store.clip(row.index), power)
            continue
        stored = store.clip(row.index)
        inside = stored > 0
        error = np.abs(np.log10(power[inside]) - np.log10(stored[inside]))
        assert error.max() <= 0.5001 * quantizer.step_decades + 1e-6


def test_two_tracks_with_one_id_are_an_error(audio, tmp_path, client):
    track = folder.tracks(audio).tracks[0]
    with pytest.raises(InvalidInput, match="two tracks have the id"):
        _build(audio, tmp_path / "a.zarr", client, [track, track])
    assert not (tmp_path / "a.zarr").exists()


def test_a_dataset_without_tracks_is_an_error(audio, tmp_path, client):
    with pytest.raises(InvalidInput, match="no audio found"):
        _build(audio, tmp_path / "a.zarr", client, [])


def test_splits_and_labels_reach_the_store(audio, tmp_path, client):
    tracks = [Track("x", audio / "1.wav", "g", "train", {"key": "F# minor", "genre": "chorale"})]
    (row,) = _build(audio, tmp_path / "a.zarr", client, tracks).rows
    assert (row.id, row.group, row.split, row.labels) == ("x", "g", "train", {"genre": "chorale", "key": "F# minor"})


def test_headers_are_inspected_in_batches_and_stay_in_order(audio, tmp_path, client, monkeypatch):
    monkeypatch.setattr(build_module, "HEADERS_PER_TASK", 2)
    build = Build("folder", audio, tmp_path / "a.zarr", grid=SMALL_GRID)
    rows = build.plan_manifest(folder.tracks(audio).tracks, client)
    bounds = [plan.bound_frames(track, build.spec, build.limits) for track in folder.tracks(audio).tracks]
    expected = plan.assign_new_regions(plan.plan_rows(folder.tracks(audio).tracks, audio), bounds, SMALL_GRID)
    assert rows == expected
