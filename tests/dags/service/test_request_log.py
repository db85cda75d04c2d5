"""Every request is a line, which the request itself cannot break."""

from __future__ import annotations

import re

import pytest
from asgi_client import ask
from starlette.responses import PlainTextResponse

from dags.service.access import AccessRules
from dags.service.request_log import RequestLog

APPLICATION = RequestLog(AccessRules(PlainTextResponse("ok")))


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("evil.example", 421)])
def test_answered_and_refused_requests_are_a_line(host, status, capsys):
    assert ask(APPLICATION, "/x\n\x1b[31m", "POST", {"host": host}).status == status
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d [\d:]{{8}} POST '/x%0A%1B%5B31m' {status} 0\.\d+ s", line)


def test_a_request_that_fails_is_a_line_too(capsys):
    async def fail(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(RequestLog(fail), "/" + "a" * 1_000)
    assert capsys.readouterr().err.count("a") == 199
