"""A client that calls an ASGI application without a network."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        """Return the content."""
        return json.loads(self.body)


def ask(application, path, method="GET", headers=(), body=b"", **parameters):
    """Return the answer to one request; `body` is bytes or a list of blocks, where None is a pause that never ends."""
    return asyncio.run(ask_async(application, path, method, headers, body, **parameters))


async def ask_async(application, path, method="GET", headers=(), body=b"", **parameters):
    """Return the answer to one request."""
    pairs = {"host": "127.0.0.1:8000", **dict(headers)}
    blocks, messages = list(body) if isinstance(body, list) else [body], []

    async def receive():
        if not blocks:
            await asyncio.sleep(1000)
        block = blocks.pop(0)
        if block is None:
            await asyncio.sleep(1000)
        return {"type": "http.request", "body": block, "more_body": bool(blocks)}

    async def send(message):
        messages.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": urlencode(parameters).encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    await application(scope, receive, send)
    start, *rest = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))
