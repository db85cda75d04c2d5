"""A service in a process of its own, and clients that ask it at the same time."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serving(folder, words, temporary=None):
    """Start `dags.serve` in `folder`, and yield its process, its port and the file with its standard error."""
    temporary = temporary or folder
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "dags.serve", "--port", "0", *words]
    log = Path(temporary) / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        for line in process.stdout:
            if line.startswith("serving on http://127.0.0.1:"):
                break
        else:
            raise RuntimeError(log.read_text())
        yield process, int(line.split(":")[2].split(",")[0]), log
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(connection, method, path, body=None):
    """Return the status and the body of the answer to one request."""
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, response.read()


def load(port, clients, requests):
    """Let clients take requests `(method, path, body)` from a list, and return the seconds and statuses of all."""
    remaining, seconds, statuses, lock = iter(requests), [], [], threading.Lock()

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                request = next(remaining, None)
            if request is None:
                break
            start = time.perf_counter()
            status, _ = ask(connection, *request)
            with lock:
                seconds.append(time.perf_counter() - start)
                statuses.append(status)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, statuses


def resident_bytes(process):
    """Return the resident memory of a process and of its children."""
    parent = psutil.Process(process.pid)
    sizes = []
    for one in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(one.memory_info().rss)
    return sum(sizes)
