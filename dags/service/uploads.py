"""Uploads: how many are in hand, and how the body of a request becomes a file, within limits of size and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from dags.service.failures import Failure

RETRY_SECONDS = 5
"""Seconds after which a client should ask again if too many requests are in hand."""


class Admission:
    """The uploads in hand, which are received, decoded or waiting. There are at most `max_requests`."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self.in_hand = 0
        """Number of uploads in hand."""

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Count an upload within the context.

        Raises:
            Failure: 503, there are as many as are accepted.
        """
        if self.in_hand >= self._max_requests:
            raise Failure(
                503,
                "the service is busy",
                f"{self.in_hand} uploads are in hand, which is the limit",
                f"ask again in {RETRY_SECONDS} s, or start the service with a larger --queue",
                RETRY_SECONDS,
            )
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1


async def receive(request: Request, path: Path, max_bytes: int, max_seconds: float) -> int:
    """Write the body of a request to a new file, and return its size in bytes.

    Raises:
        Failure: the body is a form, is empty or too large, or is not complete in time.
    """
    _require_plain_body(request, max_bytes)
    try:
        async with asyncio.timeout(max_seconds):
            size = await _write(request, path, max_bytes)
    except TimeoutError as error:
        raise Failure(
            408,
            f"the file did not arrive within {max_seconds:g} s",
            "the connection is slow or has stopped",
            "send the file again, or start the service with a larger --upload-seconds",
        ) from error
    except ClientDisconnect as error:
        raise Failure(400, "the file is not complete", "the connection was closed", "send the file again") from error
    if not size:
        raise Failure(400, "the request has no body", "a file is needed", "send the bytes of a file, see GET /")
    return size


def _require_plain_body(request: Request, max_bytes: int) -> None:
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise Failure(
            415,
            "the body is a form",
            "the body must be the bytes of one file",
            "send them as they are, for example with curl --data-binary @song.mp3",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Failure(415, "the body is compressed", "a compressed body has no known size", "send the file as it is")
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated[:20]) > max_bytes:
        raise _too_large(max_bytes)


async def _write(request: Request, path: Path, max_bytes: int) -> int:
    size = 0
    with path.open("xb") as file:
        async for block in request.stream():
            size += len(block)
            if size > max_bytes:
                raise _too_large(max_bytes)
            file.write(block)
    return size


def _too_large(max_bytes: int) -> Failure:
    return Failure(
        413,
        f"the file has more than {max_bytes / 1e6:g} MB",
        "the size of files is limited",
        "send a smaller file, or start the service with a larger --max-megabytes",
    )
