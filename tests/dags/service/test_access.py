"""Programs may ask the service, and pages of other sites may not."""

from __future__ import annotations

import pytest
from asgi_client import ask
from starlette.responses import PlainTextResponse

from dags.service.access import AccessRules, host_name, read_token
from stores.errors import InvalidInput, MissingArtifact

APPLICATION = AccessRules(PlainTextResponse("secret"), ("myna",), ("https://music.example",))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "192.168.1.5:8000",
        "[::1]:8000",
        "[::1]",
        "localhost:8000",
        "LOCALHOST",
        "myna:8000",
        "1.2.3.4",
    ],
)
def test_addresses_and_own_names_are_answered(host):
    answer = ask(APPLICATION, "/", headers={"host": host})
    assert (answer.status, answer.body) == (200, b"secret")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", "localhost.evil.example", "", "[::1"),
        *(
            "localhost:80:80",
            "127.0.0.1:80a",
            "127.0.0.1@evil.example",
            "2130706433",
            "0x7f.1",
            "myna.evil",
            "127.0.0.1/x",
        ),
    ],
)
def test_a_name_that_a_page_has_pointed_here_is_refused(host):
    answer = ask(APPLICATION, "/", headers={"host": host})
    assert answer.status == 421
    assert "--allow-host" in answer.json()["what_to_do"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "https://music.example.evil"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_other_origins_are_refused(headers, method):
    answer = ask(APPLICATION, "/", method, headers)
    assert answer.status == 403
    assert b"secret" not in answer.body
    assert "access-control-allow-origin" not in answer.headers


def test_its_own_page_and_a_link_to_it_are_answered():
    for headers in (
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "none"},
    ):
        assert ask(APPLICATION, "/", headers=headers).status == 200
    assert ask(APPLICATION, "/", "POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status == 403


def test_a_listed_origin_may_ask_and_read():
    headers = {"origin": "https://music.example", "sec-fetch-site": "cross-site"}
    answer = ask(APPLICATION, "/", headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://music.example")
    assert answer.headers["vary"] == "Origin"
    preflight = ask(APPLICATION, "/", "OPTIONS", headers)
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, "GET, POST")


def test_every_response_forbids_scripts_frames_and_caches():
    for host in ("localhost", "evil.example"):
        headers = ask(APPLICATION, "/", headers={"host": host}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("value", "name"), [("A.B:1", "a.b"), ("[::1]:1", "::1"), ("a.", "a"), ("::1", ""), (":80", "")]
)
def test_the_name_of_a_host_header_is_without_port_and_brackets(value, name):
    assert host_name(value) == name


TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        ("", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}0", 401),
        ("Bearer ", 401),
        ("Bearer \xff", 401),
    ],
)
def test_a_service_with_a_token_answers_only_requests_that_have_it(header, status):
    application = AccessRules(PlainTextResponse("secret"), token=TOKEN)
    answer = ask(application, "/api/info", headers={"authorization": header})
    assert (answer.status, b"secret" in answer.body) == (status, status == 200)
    assert ask(application, "/health", headers={"authorization": header}).status == 200
    assert ask(application, "/health", headers={"host": "evil.example"}).status == 421


def test_a_token_is_read_from_a_file_and_a_short_one_is_an_error(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN
    for content in (b"", b"short", b"two words and more", b"\xff" * 20, b"0123456789\n0123456789"):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(InvalidInput, match="a token of at least 16"):
            read_token(tmp_path / "token")
    with pytest.raises(MissingArtifact, match="openssl rand"):
        read_token(tmp_path / "none")
