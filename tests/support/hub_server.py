"""A small server that answers as the Hugging Face hub does, for downloads of models."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    gated: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()
    requests: list[str]

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def log_message(self, *_):
        pass

    def _answer(self, with_body):
        self.requests.append(self.path)
        owner, name, resolve, revision, *rest = [*self.path.lstrip("/").split("/"), "", "", ""]
        rest = [part for part in rest if part]
        repository, path = f"{owner}/{name}", self.folder / owner / name / "/".join(rest)
        if resolve != "resolve" or not (self.folder / owner / name).is_dir():
            return self._error(401, "RepoNotFound")
        if repository in self.gated:
            return self._error(403, "GatedRepo")
        if revision not in ("main", "v1", COMMIT):
            return self._error(404, "RevisionNotFound")
        if not path.is_file():
            return self._error(404, "EntryNotFound")
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content[: len(content) // 2] if repository in self.cut else content)
        return None

    def _error(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serve(folder, gated=(), cut=()):
    """Serve the models `OWNER/NAME` below `folder`, and yield the address and the list of requested paths.

    Args:
        folder: the folder.
        gated: models that need permission.
        cut: models whose files end after half of their bytes.
    """
    requests = []
    attributes = {"folder": Path(folder), "gated": frozenset(gated), "cut": frozenset(cut), "requests": requests}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), attributes))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
