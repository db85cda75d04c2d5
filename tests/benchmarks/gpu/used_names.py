"""The names of PyTorch and Triton that the code uses, found by reading its source.

A machine with a GPU may have an older PyTorch than the one that the tests run with. Each name is looked up in an
environment with the older one (`simulated_machine.py`), and the names that were found are kept in `used_names.txt`. A
test fails for a name that is not in this file. Methods of tensors are not found by reading.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEPT = Path(__file__).with_suffix(".txt")
FOLDERS = ("stores", "pipeline", "model", "tests/benchmarks/gpu")
LIBRARIES = ("torch", "triton")
RENAMED = {"tl": "triton.language", "triton": "triton"}
"""Names that `model.encoder.kernels.jit` gives to parts of Triton."""


def used_names() -> list[str]:
    """Return each name once, in order, followed by `(KEYWORD)` for each keyword that is passed to it."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted({name for path in files for name in _names(ast.parse(path.read_text()))})


def unknown_names(names: Iterable[str]) -> list[str]:
    """Return those of `names` that the installed libraries do not have."""
    return [name for name in names if not _is_known(name)]


def _names(tree: ast.AST) -> Iterator[str]:
    aliases = dict(_aliases(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _resolve(node, aliases)):
            yield name
        if isinstance(node, ast.Call) and (name := _resolve(node.func, aliases)):
            yield from (f"{name}({keyword.arg})" for keyword in node.keywords if keyword.arg)
    yield from (name for name in aliases.values() if "." in name)


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name in a module that stands for a part of a library, and that part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in LIBRARIES:
                    yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        if isinstance(node, ast.ImportFrom) and node.module == "model.encoder.kernels.jit":
            yield from ((alias.name, RENAMED[alias.name]) for alias in node.names if alias.name in RENAMED)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _resolve(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """Return the full name of `a.b.c` if `a` stands for a part of a library."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute) and (outer := _resolve(node.value, aliases)):
        return f"{outer}.{node.attr}"
    return None


def _is_known(name: str) -> bool:
    path, _, keyword = name.rstrip(")").partition("(")
    try:
        part_of_library = _find(path)
    except ModuleNotFoundError as error:
        return (error.name or "").split(".")[0] not in LIBRARIES  # an optional package, such as TensorBoard
    return not keyword or _accepts(part_of_library, keyword)


def _find(path: str) -> object:
    """Return the object with a full name, importing the modules on the way.

    `torch.optim` deletes the names of its modules, so a module is imported where an attribute is missing.
    """
    library, *rest = path.split(".")
    part_of_library, imported = importlib.import_module(library), library
    for part in rest:
        imported += f".{part}"
        has_part = hasattr(part_of_library, part)
        part_of_library = getattr(part_of_library, part) if has_part else importlib.import_module(imported)
    return part_of_library


def _accepts(function: object, keyword: str) -> bool:
    """Return true if a function takes a keyword, or if its signature is not stated, as those in C++ are not."""
    try:
        parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
