"""Who may ask the service: programs that know its address, and no pages of other sites.

A browser on the same machine can reach 127.0.0.1, and so can every page that it shows. Three rules keep such pages out.
A request must name the service by an IP address, by `localhost`, or by a name of `--allow-host`, because a page that
points its own name at this machine (DNS rebinding) sends that name. A request that a browser sends for another origin
is refused, unless `--allow-origin` lists the origin. And no other origin may read an answer.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dags.service.failures import Failure
from stores.commit import read_bounded
from stores.errors import InvalidInput, MissingArtifact

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response."""
OPEN_PATHS = ("/health", "/api/health")
"""Addresses that need no token."""
MIN_TOKEN_CHARACTERS, MAX_TOKEN_BYTES = 16, 1_000
_OTHER_SITES = ("cross-site", "same-site")
_PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True)
class AccessRules:
    """Middleware that refuses what the rules do not allow, and adds headers to every response."""

    application: ASGIApp
    """The application behind the rules."""
    hosts: Sequence[str] = ()
    """Further names of the service."""
    origins: Sequence[str] = ()
    """Origins whose pages may ask, such as `https://music.example`."""
    token: str = ""
    """Token that every request must have, except those for the state of the service; empty for none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        allowed = origin if origin and origin in self.origins else ""

        async def send_with_headers(message: Message) -> None:
            """Add the headers of every response."""
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added.update({**HEADERS, **(_allow(allowed) if allowed else {})})
            await send(message)

        try:
            self._require_host(headers)
            self._require_origin(scope["method"], headers, origin)
        except Failure as failure:
            await failure.response()(scope, receive, send_with_headers)
            return
        if allowed and scope["method"] == "OPTIONS":
            await _answer_preflight(send_with_headers)
            return
        try:
            self._require_token(scope["path"], headers)
        except Failure as failure:
            await failure.response()(scope, receive, send_with_headers)
            return
        await self.application(scope, receive, send_with_headers)

    def _require_host(self, headers: Headers) -> None:
        values = headers.getlist("host")
        name = host_name(values[0]) if len(values) == 1 else ""
        if not (_is_address(name) or name == "localhost" or name in self.hosts):
            raise Failure(
                421,
                f"this service is not called {', '.join(values)[:80]!r}",
                "only an IP address, localhost, and names of --allow-host are accepted in the header Host, so that no "
                "page of another site can reach the service under its own name",
                "use the IP address, or start the service with --allow-host NAME",
            )

    def _require_token(self, path: str, headers: Headers) -> None:
        kind, _, stated = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(stated.strip().encode(), self.token.encode()) and kind.lower() == "bearer"
        if self.token and not is_right and path not in OPEN_PATHS:
            raise Failure(
                401,
                "the request has no token, or another one",
                "the service was started with --token",
                "send the header Authorization: Bearer TOKEN",
            )

    def _require_origin(self, method: str, headers: Headers, origin: str) -> None:
        if origin in self.origins and origin:
            return
        is_same = origin.partition("://")[2].lower() == headers.get("host", "").lower()
        is_link = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
        is_other = headers.get("sec-fetch-site", "") in _OTHER_SITES and not is_link
        if (origin and not is_same) or is_other:
            raise Failure(
                403,
                f"pages of {origin[:80] or 'other sites'} may not ask this service",
                "a browser has sent the request for a page of another origin",
                "ask from a program, or start the service with --allow-origin ORIGIN",
            )


def read_token(path: Path) -> str:
    """Return the token in a file, without white space around it.

    Raises:
        MissingArtifact: there is no such file.
        InvalidInput: it has no token, or a short one.
    """
    if not path.is_file():
        raise MissingArtifact(f"no token at {path}; make one with `openssl rand -hex 32 > {path}`")
    token = read_bounded(path, MAX_TOKEN_BYTES).decode("ascii", "replace").strip()
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(
            f"{path} must hold a token of at least {MIN_TOKEN_CHARACTERS} letters, digits or signs; make one with "
            f"`openssl rand -hex 32 > {path}`"
        )
    return token


def host_name(value: str) -> str:
    """Return the name in a Host header, in lower case and without port and brackets; empty if it is malformed."""
    name, separator, port = value.strip().lower().rpartition(":")
    if not separator or (value.strip().endswith("]")):
        name, port = value.strip().lower(), ""
    if port and not (port.isascii() and port.isdigit()):
        return ""
    if name.startswith("["):
        return name[1:-1] if name.endswith("]") else ""
    return "" if ":" in name else name.removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _allow(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Vary": "Origin",
        "Cross-Origin-Resource-Policy": "cross-origin",
        **_PREFLIGHT_HEADERS,
    }


async def _answer_preflight(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
