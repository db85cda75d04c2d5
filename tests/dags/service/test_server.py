"""The server has bounds for connections, and finishes what is in hand when a signal arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket

import pytest

from dags.service import server
from stores.errors import InvalidInput


def _serve(application, client):
    """Run a server in this process while `client(port, server)` asks it, and return the result of the client."""

    async def run():
        bound = server.open_socket("127.0.0.1", 0)
        serving = server.build(application, 5.0, lambda: None)
        task = asyncio.create_task(serving.serve([bound]))
        while not serving.started:
            await asyncio.sleep(0.01)
        try:
            return await client(bound.getsockname()[1], serving)
        finally:
            serving.should_exit = True
            await asyncio.wait_for(task, 10)

    return asyncio.run(run())


async def _say(port, content, close=False):
    """Return everything that the server answers to some bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer
    return b""


async def _answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000,
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_with_an_error_in_json(content):
    answer = _serve(_answer, lambda port, _: _say(port, content))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4")
    assert set(json.loads(body)) == {"error", "why", "what_to_do"}


def test_a_head_that_does_not_arrive_is_given_up(monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)

    async def client(port, _):
        return await asyncio.gather(*(_say(port, content) for content in (b"", b"GET / HTTP/1.1\r\nHo")))

    for answer in _serve(_answer, client):
        assert answer.startswith(b"HTTP/1.1 408")


def test_a_second_head_that_does_not_arrive_is_given_up_too(monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)

    async def client(port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"ok")
        writer.write(b"GET / HT")
        answer = await asyncio.wait_for(reader.read(), 4)
        writer.close()
        return answer

    assert _serve(_answer, client).startswith(b"HTTP/1.1 408")


def test_an_answer_may_take_longer_than_the_head(monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.4)

    async def slow(scope, receive, send):
        await asyncio.sleep(0.8)
        await _answer(scope, receive, send)

    assert _serve(slow, lambda port, _: _say(port, REQUEST)).endswith(b"ok")


def test_a_client_that_does_not_take_its_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.3)
    ended = []

    async def long(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        ended.append(True)

    async def client(port, serving):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(REQUEST)
        for _ in range(50):
            await asyncio.sleep(0.1)
            if not serving.server_state.connections and not serving.server_state.tasks:
                break
        writer.close()
        return len(serving.server_state.connections)

    assert _serve(long, client) == 0
    assert ended


def test_connections_over_the_limit_are_answered_and_closed(monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)

    async def client(port, _):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await _say(port, REQUEST)
        for _, writer in idle:
            writer.close()
        await asyncio.sleep(0.1)
        return refused, await _say(port, REQUEST)

    refused, answered = _serve(_answer, client)
    assert refused.startswith(b"HTTP/1.1 503")
    assert answered.endswith(b"ok")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_after_the_requests_in_hand(number):
    started = asyncio.Event()

    async def slow(scope, receive, send):
        started.set()
        await asyncio.sleep(0.5)
        await _answer(scope, receive, send)

    async def client(port, serving):
        answer = asyncio.create_task(_say(port, REQUEST))
        await started.wait()
        os.kill(os.getpid(), number)
        answered = await answer
        await asyncio.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return answered

    assert _serve(slow, client).endswith(b"ok")


def test_an_address_that_cannot_be_used_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInput, match=r"cannot listen on --host 127.0.0.1 --port \d+: .*a port that is free"):
            server.open_socket("127.0.0.1", taken.getsockname()[1])
    for host in ("256.1.1.1", "no such host", "x" * 300):
        with pytest.raises(InvalidInput, match="choose an address of this machine"):
            server.open_socket(host, 0)


def test_the_address_is_a_url():
    for host, text in (("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")):
        with contextlib.closing(server.open_socket(host, 0)) as bound:
            assert server.address_of(bound).startswith(text)
