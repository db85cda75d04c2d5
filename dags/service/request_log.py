"""A line on standard error for every request, also for one that is refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_PATH_CHARACTERS = 200


@dataclass(frozen=True)
class RequestLog:
    """Middleware that writes the time, the method, the path, the status and the seconds of every request."""

    application: ASGIApp
    """The application behind it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and write a line when it is answered."""
        start, statuses = time.perf_counter(), list[int]()

        async def send_and_note(message: Message) -> None:
            """Note the status of the response."""
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        try:
            await self.application(scope, receive, send_and_note)
        finally:
            status = statuses[0] if statuses else 0
            print(_line(scope, status, time.perf_counter() - start), file=sys.stderr, flush=True)


def _line(scope: Mapping[str, Any], status: int, seconds: float) -> str:
    """Return a line about a request. The path is quoted as it was sent, so that it cannot write lines of its own."""
    path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:MAX_PATH_CHARACTERS]
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {scope.get('method', '')} {path!r} {status} {seconds:.3f} s"
