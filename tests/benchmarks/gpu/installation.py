"""Names of the packages on a machine with a GPU, and of those that are copied to it, as docs/gpu.md lists them."""

from __future__ import annotations

IMAGE = (
    *("numpy", "scipy", "scikit-learn", "matplotlib", "pyarrow", "psutil", "jaxtyping", "safetensors", "requests"),
    *("tqdm", "click", "msgpack", "cloudpickle", "PyYAML", "pytest", "pytest-timeout", "pytest-xdist"),
)
"""Packages that images with scientific Python contain, beside PyTorch with its Triton."""
WHEELS = (
    *("zarr", "donfig", "google-crc32c", "numcodecs", "pytorch-optimizer", "webdataset", "braceexpand", "beartype"),
    *("nnaudio", "pydantic", "pydantic-core", "typing-inspection", "annotated-types", "tyro", "docstring-parser"),
    "platformdirs",
)
"""Packages that both visits need besides, installed without their dependencies."""
TORCH = "2.11.0"
"""Version of PyTorch on the machine."""
TRITON = "3.6.0"
"""Version of Triton that comes with it."""
