"""The errors of the service as JSON: `error` says what is wrong, `why` the reason, and `what_to_do` the way out."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from stores.errors import REJECTION_REASONS, DecodeError, MynaError

STORAGE_ERRORS = "the disk of the service is full or cannot be written"


class Failure(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, error: str, why: str, what_to_do: str, retry_seconds: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self._body = {"error": error, "why": why, "what_to_do": what_to_do}
        self._headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}

    def response(self) -> Response:
        """Return the response to the request."""
        return json_response(self._body, self.status, self._headers)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with JSON.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(text.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def of_decoding(error: DecodeError) -> Failure:
    """Return the failure of a request whose file cannot be decoded."""
    status = {"too_long": 413, "timeout": 422}.get(error.reason, 422)
    why = f"{error.reason}: {REJECTION_REASONS.get(error.reason, 'the recording is rejected')}"
    return Failure(status, f"the file cannot be embedded: {error.detail}", why, _REMEDIES.get(error.reason, _REMEDY))


def of_error(error: MynaError) -> Failure:
    """Return the failure of a request that the rooms behind the service reject."""
    if isinstance(error, DecodeError):
        return of_decoding(error)
    return Failure(422, str(error), type(error).__name__, "follow the message, and see GET /")


_REMEDY = "send the bytes of an audio file that a player plays, for example as WAV, FLAC, Ogg or MP3"
_REMEDIES = {
    "too_long": "send a shorter recording, or start the service with a larger --max-seconds",
    "timeout": "send a shorter recording, or start the service with a larger --decode-seconds",
    "too_short": "send a longer recording",
    "out_of_scale": "divide the samples as the message says, so that full scale is 1",
    "not_finite": "write the file again without samples that are NaN or infinite",
}
