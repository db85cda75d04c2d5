"""A session of ONNX Runtime for a graph. Nothing here imports torch."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from stores.errors import CorruptArtifact, MissingArtifact


def open_session(path: Path, threads: int | None = None) -> Any:
    """Return a session for the graph at `path` on the CPU.

    Args:
        path: file of the graph.
        threads: threads of a product (default: as many as ONNX Runtime chooses).

    Raises:
        MissingArtifact: ONNX Runtime is not installed.
        CorruptArtifact: the file is not a graph that ONNX Runtime can run.
    """
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise MissingArtifact(f"graphs need onnxruntime; install it with pip install 'myna[onnx]' ({error})") from error
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CorruptArtifact(f"{path} cannot be run: {error}; export the graph again") from error
