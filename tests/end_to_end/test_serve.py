"""The command `dags.serve` answers, finishes what is in hand at a signal, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time

import psutil
import pytest
import service_load
import small_service
import synthetic_audio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        small_service.write(folder)
    synthetic_audio.write(folder / "song.wav", synthetic_audio.chords(60, 44_100), 44_100)
    return folder


@pytest.fixture
def service(workplace, tmp_path):
    """A process that serves, its port, and a folder for its temporary files with its standard error."""
    words = ["--embeddings", "made", "--probe", "probe.safetensors", "--checkpoint", "first"]
    with service_load.serving(workplace, words, tmp_path) as (process, port, _):
        yield process, port, tmp_path


def _upload(port, content, answers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/api/analyze", content)
        response = connection.getresponse()
        answers.append((response.status, json.loads(response.read())))
    except (OSError, http.client.HTTPException) as error:
        answers.append((0, error))
    finally:
        connection.close()


def test_uploads_in_hand_are_answered_after_sigterm_and_nothing_is_left(service, workplace):
    process, port, temporary = service
    answers = []
    content = (workplace / "song.wav").read_bytes()
    threads = [threading.Thread(target=_upload, args=(port, content, answers)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert process.wait(30) == 0
    assert [status for status, _ in answers] == [200] * 4
    assert all(len(answer["embedding"]) == small_service.WIDTH for _, answer in answers)
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert [path.name for path in temporary.iterdir()] == ["log"]


def test_a_second_signal_ends_the_service_at_once(service):
    process, port, temporary = service
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /api/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143
    assert [path.name for path in temporary.iterdir()] == ["log"]


def test_processes_that_decode_end_with_a_service_that_is_killed(service, workplace):
    process, port, _ = service
    answers = []
    _upload(port, (workplace / "song.wav").read_bytes(), answers)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_the_log_has_a_line_for_each_request_and_quotes_it(service):
    process, port, temporary = service
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    connection.close()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET /api/info%0a%1b[31mline HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while raw.recv(65_536):
            pass
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "GET '/health' 200" in (temporary / "log").read_text()
    assert "\x1b" not in (temporary / "log").read_text()


def test_memory_stays_flat_over_many_requests(service, workplace):
    process, port, _ = service
    synthetic_audio.write(workplace / "short.wav", synthetic_audio.chords(5))
    upload = ("POST", "/api/analyze", (workplace / "short.wav").read_bytes())
    damaged = ("POST", "/api/analyze", b"no music" * 1_000)
    tracks = ("GET", "/api/similar_tracks?item_id=clip-0", None)
    sizes = []
    for _ in range(4):
        _, statuses = service_load.load(port, 4, [upload, tracks, tracks, damaged] * 40)
        assert sorted(set(statuses)) == [200, 422]
        sizes.append(service_load.resident_bytes(process))
    assert sizes[-1] < 1.05 * sizes[1]
