"""Workers with other code or other packages are found when a command connects to their cluster."""

from __future__ import annotations

import pytest

from pipeline.cluster import environment
from stores.errors import InvalidInput


class Cluster:
    """A client of a cluster whose workers have these environments."""

    def __init__(self, workers, error=None, has_worker=True):
        self.workers, self.error, self.has_worker = workers, error, has_worker

    def wait_for_workers(self, count, timeout):
        if not self.has_worker:
            raise TimeoutError

    def run(self, function):
        if self.error:
            raise self.error
        return self.workers


def test_workers_with_the_same_environment_are_accepted():
    environment.require_same(Cluster({"tls://a": environment.describe(), "tls://b": dict(environment.describe())}))


@pytest.mark.parametrize("name", ["Python", "code", "numpy", "soxr"])
def test_a_worker_that_differs_is_named_with_both_versions(name):
    other = {**environment.describe(), name: "0.1"}
    message = rf"worker tls://b has another environment \({name} 0.1 and {environment.describe()[name]} here\)"
    with pytest.raises(InvalidInput, match=message):
        environment.require_same(Cluster({"tls://a": environment.describe(), "tls://b": other}))


def test_a_worker_without_this_code_is_an_error_with_advice():
    with pytest.raises(InvalidInput, match=r"cannot run this code .* start the workers in the environment"):
        environment.require_same(Cluster({}, ModuleNotFoundError("No module named 'pipeline'")))


def test_a_cluster_without_workers_is_an_error():
    with pytest.raises(InvalidInput, match="no worker for 300 s"):
        environment.require_same(Cluster({}, has_worker=False))


def test_the_digest_of_the_code_changes_with_the_code(monkeypatch, tmp_path):
    for room in ("stores", "pipeline", "model"):
        (tmp_path / room).mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    before = environment._code_digest()
    (tmp_path / "stores" / "x.py").write_text("b = 2\n")
    assert environment._code_digest() != before
