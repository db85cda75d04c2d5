"""The HTTP interface: uploads get embeddings, labels with times and neighbors, and every error says what to do."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_service
import synthetic_audio
from asgi_client import ask, ask_async

import model
from dags.service import uploads
from model.probes.probe import Probe
from model.probes.results.predictions import prediction_table
from model.similarity.exact import unit_rows


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        small_service.write(folder)
        synthetic_audio.write(folder / "song.mp3", synthetic_audio.chords(8, 44_100), 44_100)
        service = small_service.open_service(folder)
        yield service
        small_service.close(service)


@pytest.fixture
def service(workplace, monkeypatch):
    monkeypatch.chdir(workplace.folder.parent)
    return replace(workplace)  # with bounds of its own


@pytest.fixture
def application(service):
    yield small_service.application_of(service)
    assert list(service.folder.iterdir()) == []  # every upload is removed


def _upload(application, name="song.mp3", **parameters):
    return ask(application, "/api/analyze", "POST", body=Path(name).read_bytes(), **parameters)


def _require_explained(answer, status, error=""):
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "why", "what_to_do"}
    assert all(body.values())
    assert error in body["error"]
    return body


def test_an_upload_gets_its_embedding_labels_and_neighbors(application):
    answer = _upload(application, n=2)
    assert answer.status == 200
    content = answer.json()
    myna = model.Myna.from_pretrained("runs/first")
    windows = myna.embed("song.mp3", pool="none")
    np.testing.assert_allclose(content["embedding"], windows.mean(axis=0), atol=1e-5)
    assert content["seconds"] == 8.0
    assert content["source"]["rate_hz"] == 44_100
    assert [set(one) for one in content["neighbors"]] == [{"id", "item_id", "cosine"}] * 2
    assert content["neighbors"][0]["cosine"] >= content["neighbors"][1]["cosine"]
    assert "windows" not in content


def test_labels_are_those_of_predict_with_times_and_distance(application):
    content = _upload(application, windows="true").json()
    windows = model.Myna.from_pretrained("runs/first").embed("song.mp3", pool="none")
    probe = Probe.read(Path("probe.safetensors"))
    mean = windows.mean(axis=0, keepdims=True)
    table = prediction_table(probe, ["x"], mean, ["x"]).to_pylist()[0]
    labels = content["labels"]["made/key"]
    assert labels["prediction"] == table["prediction"]
    assert labels["values"]["class-1"] == pytest.approx(table["class-1"], abs=1e-5)
    assert labels["distance_percentile"] == pytest.approx(table["distance_percentile"], abs=0.1)
    assert labels["remark"] == table["remark"]
    assert [(one["start_seconds"], one["end_seconds"]) for one in labels["windows"]] == [
        *((0.0, 3.072), (3.072, 6.144), (4.96, 8.0)),
    ]
    assert [one["start_seconds"] for one in content["windows"]] == [0.0, 3.072, 4.96]
    np.testing.assert_allclose(content["windows"][1]["embedding"], windows[1], atol=1e-5)


def test_the_neighbors_are_those_with_the_greatest_cosine(service, application):
    windows = model.Myna.from_pretrained("runs/first").embed("song.mp3", pool="none")
    vector = unit_rows(unit_rows(windows).mean(axis=0, keepdims=True))[0]
    cosines = service.catalog.collection.vectors @ vector
    expected = [service.catalog.collection.clips[i].id for i in np.argsort(-cosines)[:3]]
    assert [one["id"] for one in _upload(application, n=3).json()["neighbors"]] == expected


@pytest.mark.parametrize("text", ["0", "-5", "x", "9" * 400, "", "1e3"])
def test_a_number_of_neighbors_that_is_none_is_a_usual_one(application, text):
    assert 1 <= len(_upload(application, n=text).json()["neighbors"]) <= len(small_service.LENGTHS)


def test_bodies_over_the_limit_are_refused_before_and_while_they_arrive(application):
    stated = ask(application, "/api/analyze", "POST", {"content-length": "1000001"}, [None])
    _require_explained(stated, 413, "more than 1 MB")
    _require_explained(ask(application, "/api/analyze", "POST", body=[b"x" * 600_000] * 2), 413, "more than 1 MB")
    huge = ask(application, "/api/analyze", "POST", {"content-length": "9" * 5000}, [None])
    _require_explained(huge, 413)


def test_a_body_that_does_not_arrive_is_given_up(application):
    _require_explained(ask(application, "/api/analyze", "POST", body=[b"RIFF", None]), 408, "did not arrive within 1 s")


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({}, b"", 400, "no body"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x", 415, "a form"),
        ({"content-encoding": "gzip"}, b"x", 415, "compressed"),
        ({}, b"no music" * 99, 422, "cannot be embedded"),
        ({}, b"#EXTM3U\nfile:///etc/passwd\n", 422, "cannot be embedded"),
    ],
)
def test_a_body_that_is_no_recording_is_an_error_that_says_what_to_do(application, headers, body, status, error):
    _require_explained(ask(application, "/api/analyze", "POST", headers, body), status, error)


def test_recordings_that_cannot_be_embedded_are_an_error_with_their_reason(application, tmp_path):
    def explained(samples, rate_hz=8_000):
        path = synthetic_audio.write(tmp_path / "x.wav", np.asarray(samples, np.float32), rate_hz)
        return _require_explained(_upload(application, str(path)), 413 if len(samples) > 99_999 else 422)

    assert explained(np.zeros(21 * 8_000))["why"].startswith("too_long")
    assert explained(np.zeros(100))["why"].startswith("too_short")


def test_one_upload_too_many_is_answered_at_once(service):
    application = small_service.application_of(service)

    async def ask_three():
        slow = [asyncio.create_task(ask_async(application, "/api/analyze", "POST", body=[b"x", None])) for _ in "12"]
        await asyncio.sleep(0.1)
        health = await ask_async(application, "/health")
        busy = await ask_async(application, "/api/analyze", "POST", body=b"x")
        return health, busy, await asyncio.gather(*slow)

    health, busy, slow = asyncio.run(ask_three())
    assert health.json() == {"status": "ok", "uploads_in_hand": 2}
    _require_explained(busy, 503, "busy")
    assert busy.headers["retry-after"] == str(uploads.RETRY_SECONDS)
    assert [answer.status for answer in slow] == [408, 408]
    assert service.admission.in_hand == 0


def test_a_full_disk_and_a_bug_are_answered_too(service, application, monkeypatch, capsys):
    def fail(error):
        async def receive(*_):
            raise error

        monkeypatch.setattr(uploads, "receive", receive)
        return _upload(application)

    _require_explained(fail(OSError(28, "No space left on device")), 507)
    _require_explained(fail(ZeroDivisionError("secret")), 500)
    assert "secret" in capsys.readouterr().err


def test_other_addresses_and_methods_are_errors(application):
    for path in ("/nothing", "/api/analyze/x", "/../etc/passwd", "/%00"):
        _require_explained(ask(application, path), 404)
    _require_explained(ask(application, "/api/analyze"), 405)
    _require_explained(ask(application, "/health", "DELETE"), 405)


def test_similar_tracks_have_the_fields_of_audiomuse(application):
    answer = ask(application, "/api/similar_tracks", item_id="clip-0", n=3, eliminate_duplicates="true")
    assert answer.status == 200
    tracks = answer.json()
    assert len(tracks) == 3
    for track in tracks:
        assert set(track) == {"item_id", "title", "author", "album", "album_artist", "distance"}
        assert track["author"] == track["album_artist"] == "unknown"
    distances = [track["distance"] for track in tracks]
    assert distances == sorted(distances)
    assert all(0 <= distance <= 2 for distance in distances)
    assert "clip-0" not in [track["item_id"] for track in tracks]
    ignored = {"radius_similarity": "true", "mood_similarity": "false", "server": "x"}
    assert ask(application, "/api/similar_tracks", item_id="clip-0", n=3, **ignored).json() == tracks


def test_a_track_that_is_not_there_is_an_error_as_in_audiomuse(application):
    _require_explained(ask(application, "/api/similar_tracks"), 400, "item_id")
    _require_explained(ask(application, "/api/similar_tracks", title="x"), 400)
    _require_explained(ask(application, "/api/similar_tracks", item_id="../x"), 404, "not found")
    _require_explained(ask(application, "/api/similar_tracks", title="x", artist="y"), 404, "not found")


def test_a_path_leads_from_one_track_to_another(application):
    ends = {"start_song_id": "clip-0", "end_song_id": "clip-3"}
    answer = ask(application, "/api/find_path", **ends, max_steps=5, path_fix_size="false", mood_pct="100").json()
    names = [track["item_id"] for track in answer["path"]]
    assert (names[0], names[-1], len(names), len(set(names))) == ("clip-0", "clip-3", 5, 5)
    assert answer["total_distance"] == pytest.approx(sum(track["distance"] for track in answer["path"]), abs=1e-5)
    everything = ask(application, "/api/find_path", **ends, max_steps="9999").json()["path"]
    assert len(everything) == len(small_service.LENGTHS)
    assert len(ask(application, "/api/find_path", **ends, max_steps="1").json()["path"]) == 3
    _require_explained(ask(application, "/api/find_path", start_song_id="clip-0"), 400)
    _require_explained(ask(application, "/api/find_path", start_song_id="clip-0", end_song_id="clip-0"), 400)
    _require_explained(ask(application, "/api/find_path", start_song_id="clip-0", end_song_id="x"), 404)


def test_the_page_and_info_describe_encoder_probes_and_limits(application):
    info = ask(application, "/api/info").json()
    assert info["encoder"]["name"] == "first"
    assert info["collection"]["clips"] == len(small_service.LENGTHS)
    (probe,) = info["probes"]
    assert probe["labels"] == ["class-0", "class-1", "class-2"]
    assert {"error_before", "error_after"} <= set(probe["calibration"])
    page = ask(application, "/")
    assert page.headers["content-type"].startswith("text/html")
    error = f"{probe['calibration']['error_after']:.3f}"
    for text in ("http://127.0.0.1:8000/api/analyze", "/api/similar_tracks", "made/key", error, "1 MB"):
        assert text in page.body.decode()


def test_names_on_the_page_stay_text(service):
    (served,) = service.analysis.probes
    metadata = {**served.probe.metadata, "classes": ["<script>", "b", "c"], "dataset": "<img src=x>"}
    probes = [replace(served, probe=replace(served.probe, metadata=metadata))]
    changed = replace(service, analysis=replace(service.analysis, probes=probes))
    page = ask(small_service.application_of(changed), "/").body.decode()
    assert "<script>" not in page
    assert "<img" not in page


def test_a_collection_that_has_changed_is_noticed(workplace, tmp_path, monkeypatch):
    for name in ("stores", "runs", "probe.safetensors", "song.mp3"):
        source = workplace.folder.parent / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    service = small_service.open_service(tmp_path)
    application = small_service.application_of(service)
    assert ask(application, "/health").status == 200
    (features,) = tmp_path.glob("stores/*.features.zarr")
    content = json.loads((features / "zarr.json").read_text())
    (features / "zarr.json").write_text(json.dumps(content, indent=1))
    _require_explained(ask(application, "/health"), 503, "has changed")
    _require_explained(ask(application, "/api/similar_tracks", item_id="clip-0"), 503, "has changed")
    _require_explained(_upload(application), 503, "has changed")
    assert ask(application, "/api/info").json()["collection"]["changed"] is True
    shutil.rmtree(features)
    _require_explained(ask(application, "/health"), 503, "has changed")
    small_service.close(service)


def test_without_a_collection_uploads_have_labels_and_no_neighbors(service):
    alone = replace(service, catalog=None, analysis=replace(service.analysis, catalog=None))
    application = small_service.application_of(alone)
    assert _upload(application).json()["neighbors"] is None
    _require_explained(ask(application, "/api/similar_tracks", item_id="x"), 503, "no collection")
    assert ask(application, "/api/info").json()["collection"] is None
