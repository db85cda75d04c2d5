"""What tests share: shapes of `model` are checked while they run, and small stores are made out of nothing."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from jaxtyping import install_import_hook
from small_stores import store_maker

# Without a GPU kernels run in Triton's interpreter; they are told when they are defined, before any is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Modules whose shapes are checked while tests run. Not those whose own checks of types and shapes are tested
# (config, infonce), nor masking, whose Protocol cannot be checked at run time, nor kernels, whose source Triton reads.
CHECKED = (
    "model.encoder.fused",
    "model.encoder.patches",
    "model.encoder.vit",
    "model.objectives.geometry",
    "model.training.on_disk",
    "model.training.prefetch",
    "model.training.resident",
    "model.training.step",
    "model.training.stream",
)
install_import_hook(CHECKED, "beartype.beartype")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests must not depend on their parents.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_store(tmp_path):
    """A function that makes a finished store of clips of the given lengths, refused ones where a length is 0."""
    return store_maker(tmp_path)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Return the results of a run with everything that a page can show; see `synthetic_report`."""
    import synthetic_report  # after the hook above, which must see `model` first

    from model.page import run_results

    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthetic_report.everything(store_maker(folder))
        return run_results.gather("first")
