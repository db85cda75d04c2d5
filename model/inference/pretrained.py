"""The class `model.Myna`, which imports PyTorch only when a model needs it.

`model.Myna(encoder)` and `model.Myna.from_pretrained(name)` give the class of `model.inference.myna`, and
`from_pretrained(name, engine="onnx")` gives that of `model.inference.onnx_myna`. Both are subclasses of this one.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from stores.errors import InvalidInput

_CLASSES = {"eager": "model.inference.myna:Myna", "onnx": "model.inference.onnx_myna:OnnxMyna"}


class Pretrained:
    """A model that embeds audio files and samples."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """Return a new model, which for this class itself is one of `model.inference.myna`."""
        if cls is not Pretrained:
            return super().__new__(cls)
        torch_class = _class_of("eager")
        return torch_class.__new__(torch_class, *arguments, **options)

    @classmethod
    def from_pretrained(cls, *name: str | Path, engine: str = "eager", **options: Any) -> Any:
        """Load a model; see `model.inference.myna.Myna.from_pretrained` and `model.inference.onnx_myna.OnnxMyna`.

        Args:
            name: path, id or name of the model (default: the encoder that ships with this package).
            engine: `eager`, or `onnx` for a graph of `model.export onnx --from samples`, which needs no PyTorch.
            options: options of the class of the engine.

        Raises:
            InvalidInput: the engine is unknown.
        """
        return _class_of(engine).from_pretrained(*name, **options)


def _class_of(engine: str) -> Any:
    if engine not in _CLASSES:
        raise InvalidInput(f"engine {engine!r} is unknown here; use one of {', '.join(_CLASSES)}")
    module, _, name = _CLASSES[engine].partition(":")
    return getattr(import_module(module), name)
