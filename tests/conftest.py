"""Fixtures for all tests, and the run-time check of array shapes in `model`."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal

import pytest
import torch
from jaxtyping import install_import_hook
from small_stores import store_maker

# Without a GPU, kernels run in Triton's interpreter. Triton reads this variable when a kernel is defined, so it must be
# set before any kernel is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
if os.environ.get("TRITON_INTERPRET") == "1":
    with contextlib.suppress(ImportError):  # a system without Triton, where tests of kernels are skipped
        bf16_interpreter = importlib.import_module("bf16_interpreter")
        bf16_interpreter.install()

# Modules whose array shapes are checked while tests run. Some modules are left out: config and infonce, whose own
# checks of types and shapes are tested, masking, whose Protocol cannot be checked at run time, and kernels, whose
# source Triton reads.
CHECKED_MODULES = (
    "model.encoder.fused",
    "model.encoder.patches",
    "model.encoder.vit",
    "model.objectives.geometry",
    "model.training.on_disk",
    "model.training.batch_prefetch",
    "model.training.resident",
    "model.training.step",
    "model.training.stream",
)
install_import_hook(CHECKED_MODULES, "beartype.beartype")

# A shell starts background jobs with Ctrl-C ignored, and child processes inherit this. The tests must not depend on it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_store(tmp_path):
    """Return a function that writes a complete mel store; see `small_stores.store_maker`."""
    return store_maker(tmp_path)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Return the results of a run with everything that a report can show; see `synthetic_report`."""
    import synthetic_report  # imported after the hook above, which must see `model` first

    from model.page import run_results

    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        synthetic_report.everything(store_maker(folder))
        return run_results.gather("first")
