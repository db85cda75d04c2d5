"""The server: its socket, its bounds for connections, and what signals do.

The first SIGTERM or Ctrl-C stops the acceptance of requests, and the service ends with status 0 when all requests in
hand are answered. The second one ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from stores.errors import InvalidInput

MAX_CONNECTIONS = 256
"""Connections that are open at the same time."""
HEAD_SECONDS = 10.0
"""Seconds in which the head of a request must arrive."""
WRITE_SECONDS = 60.0
"""Seconds in which a client must take what it is sent."""
MAX_HEAD_BYTES = 1 << 14
"""Largest head of a request, with its address and headers."""
KEEP_ALIVE_SECONDS = 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address of this machine. Connections wait until the server runs.

    Raises:
        InvalidInput: the address is not one of this machine, or another program uses the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as failing:
            bound = failing.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(MAX_CONNECTIONS)
            failing.pop_all()  # it stays open
    except (OSError, UnicodeError, OverflowError) as error:
        raise InvalidInput(
            f"the service cannot listen on --host {host} --port {port}: {error}; choose an address of this machine, "
            "and a port that is free, or 0 for any"
        ) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(application: ASGIApp, bound: socket.socket, shutdown_seconds: float, abort: Callable[[], None]) -> None:
    """Serve at `bound` until a signal arrives and all requests in hand are answered, see `build`."""
    asyncio.run(build(application, shutdown_seconds, abort).serve([bound]))


def build(application: ASGIApp, shutdown_seconds: float, abort: Callable[[], None]) -> Server:
    """Return a server.

    Args:
        application: the interface.
        shutdown_seconds: seconds after a signal in which the requests in hand must be answered.
        abort: function that cleans up when a second signal ends the process at once.
    """
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(shutdown_seconds) + 1,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    return Server(config, abort)


class Server(uvicorn.Server):
    """A server that finishes what is in hand at the first signal, and ends the process at the second one."""

    def __init__(self, config: uvicorn.Config, abort: Callable[[], None]) -> None:
        super().__init__(config)
        self._abort = abort

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals within the context."""
        earlier = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- as signal handlers have it
        """Stop after the requests in hand, or at once if that was asked for before."""
        if self.should_exit:
            self._abort()
            os._exit(128 + sig)
        self.should_exit = True


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with limits of connections and of the time of a request's head and of reading, and errors as JSON."""

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or answer 503 if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_with(503, "the service is busy", f"{MAX_CONNECTIONS} connections are open", "ask again later")
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_watching()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that does not take its answer, for a while."""
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with an answer."""
        super().resume_writing()
        self._stop_write_timer()

    def send_400_response(self, msg: str) -> None:
        """Answer something that is not HTTP/1.1."""
        self._close_with(400, "the request is not HTTP/1.1", msg, "use a client of HTTP, see GET /")

    def _watch_head(self) -> None:
        """Close the connection in a while if the head of a request is awaited and is not complete by then."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_late_head)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _close_late_head(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._close_with(408, "the request is not complete", "its head took too long", "send it again")

    def _close_with(self, status: int, error: str, why: str, what_to_do: str) -> None:
        body = json.dumps({"error": error, "why": why, "what_to_do": what_to_do}).encode()
        head = f"HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
