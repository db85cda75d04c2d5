"""SimpleViT of vit-pytorch, the architecture of the published models, as a reference for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def simple_vit_module():
    """Return the module simple_vit.py of vit-pytorch; skip the test if vit-pytorch is not installed.

    The module is loaded by its path, because the package cannot be imported without torchvision.
    """
    spec = importlib.util.find_spec("vit_pytorch")
    if spec is None or spec.origin is None:
        pytest.skip("vit-pytorch is not installed: pip install --no-deps vit-pytorch==1.26.11 to compare with it")
    path = Path(spec.origin).with_name("simple_vit.py")
    file_spec = importlib.util.spec_from_file_location("published_simple_vit", path)
    module = importlib.util.module_from_spec(file_spec)
    file_spec.loader.exec_module(module)
    return module
