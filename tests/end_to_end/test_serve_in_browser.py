"""In a real browser, the page of the service loads nothing else, and pages of other origins cannot use the service."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import service_load
import tiny

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed; Debian's package is called chromium"),
]
ASK = """async ([url, options]) => {
  try { const response = await fetch(url, options); return `${response.type} ${response.status}`; }
  catch (error) { return "blocked"; }
}"""
WAYS = (
    ("/api/info", {}),
    ("/api/info", {"mode": "no-cors"}),
    ("/api/analyze", {"method": "POST", "body": "x"}),
    ("/api/analyze", {"method": "POST", "body": "x", "mode": "no-cors"}),
    ("/api/analyze", {"method": "POST", "body": "x", "headers": {"Content-Type": "audio/mpeg"}}),
)


class _OtherSite(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>another site</h1>")

    def log_message(self, *_):
        pass


@contextmanager
def _other_site():
    site = ThreadingHTTPServer(("127.0.0.1", 0), _OtherSite)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_port
    site.shutdown()
    site.server_close()


def test_pages_of_other_origins_cannot_use_the_service_in_a_browser(tmp_path):
    tiny.write_run(tmp_path / "runs" / "first")
    with _other_site() as site, sync_api.sync_playwright() as playwright:
        words = ["--checkpoint", "first", "--allow-origin", f"http://127.0.0.1:{site}"]
        with service_load.serving(tmp_path, words) as (_, port, log):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page, requests, messages = browser.new_page(), [], []
            page.on("request", lambda request: requests.append(request.url))
            page.on("console", lambda message: messages.append(message.text))
            service = f"http://127.0.0.1:{port}"
            page.goto(service)
            assert (requests, messages) == ([f"{service}/"], [])
            assert f"{service}/api/analyze" in page.content()
            page.goto(f"http://localhost:{site}")
            assert [page.evaluate(ASK, [service + path, options]) for path, options in WAYS] == ["blocked"] * 5
            refused = [line for line in log.read_text().splitlines() if "/api/" in line]
            assert len(refused) == 5
            assert all(" 403 " in line for line in refused)
            page.goto(f"http://127.0.0.1:{site}")
            expected = ["cors 200", "blocked", "cors 422", "opaque 0", "cors 422"]
            assert [page.evaluate(ASK, [service + path, options]) for path, options in WAYS] == expected
            browser.close()
