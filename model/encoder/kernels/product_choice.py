"""The choice of an implementation for each matrix product, measured once and kept in the cache folder of the user.

Each implementation is compared with the product in float32, and then all that are right are timed in turn. One that
cannot run, or whose result is wrong, is rejected, and its reason is kept. The default is replaced only by one that is
faster by `MIN_GAIN`, so that noise does not decide.

The file belongs to a device, to the versions of its libraries, and to the source of the kernels. As long as they stay,
a training makes the same choices, and its sums have the same order. A file that is damaged, or that states anything
else, is measured again.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import Tensor

from model.encoder.kernels import fused_linear
from model.encoder.kernels.jit import triton
from model.encoder.kernels.products import OPERATIONS, Operation, Product
from model.encoder.kernels.turn_timing import median_ms
from stores.commit import write_json
from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import JsonSettings, read_json

TOLERANCE = 2e-2
"""Largest difference to the product in float32, in units of its largest value. Rounding to bfloat16 gives 4e-3."""
MAX_ROUNDING = 1.2
"""Largest error of a product that is rounded once, in units of the error of this rounding. A library that adds parts of
a product in bfloat16 has an error of 1.4 and more, which matters for sums over all tokens."""
MIN_GAIN = 0.02
"""Part of the time of the default that another implementation must save."""
MAX_FILE_BYTES = 1 << 20
_FORMAT_VERSION = 1
_MAX_REASON = 200
Timer = Callable[[Mapping[str, Callable[[], object]]], Mapping[str, float]]


@dataclass(frozen=True)
class ProductChoice(JsonSettings):
    """The implementation that was chosen for a product, and why."""

    product: Product
    """The product."""
    implementation: str
    """Name of the implementation."""
    ms: dict[str, float]
    """Milliseconds of each implementation that is right."""
    rejected: dict[str, str]
    """Reason for each implementation that is not used."""

    @property
    def is_default(self) -> bool:
        """True if the implementation is the one without a choice."""
        return self.implementation == OPERATIONS[self.product.operation].default

    def __str__(self) -> str:
        others = [f"{name} {ms:.3f} ms" for name, ms in sorted(self.ms.items(), key=lambda entry: entry[1])]
        rejected = [f"{name} rejected ({reason})" for name, reason in self.rejected.items()]
        return f"{self.product}: {self.implementation} ({', '.join(others + rejected)})"


@dataclass(frozen=True)
class _ChoiceFile(JsonSettings):
    """Content of the file without its digest."""

    format_version: int
    environment: dict[str, str]
    choices: tuple[ProductChoice, ...]


def choose_products(
    products: Sequence[Product], device: torch.device, timer: Timer | None = None, folder: Path | None = None
) -> tuple[ProductChoice, ...]:
    """Return the choice for each product, from the file if it is there, and otherwise measured and written to it.

    Args:
        products: products of a training.
        device: device to measure on.
        timer: function that returns the milliseconds of each call (default: events of a GPU, in turn).
        folder: folder of the file (default: `products` in Myna's cache folder of the operating system).
    """
    environment = describe_environment(device)
    path = (folder or platformdirs.user_cache_path("myna") / "products") / f"{digest(environment)}.json"
    known = {choice.product: choice for choice in _read(path, environment)} | _of_this_process.setdefault(path, {})
    measured = {product: measure(product, device, timer) for product in products if product not in known}
    known |= measured
    _of_this_process[path] = known
    if any(choice.ms for choice in measured.values()):
        _write(path, environment, [choice for choice in known.values() if choice.ms])
    return tuple(known[product] for product in products)


def describe_choices(choices: Sequence[ProductChoice]) -> str:
    """Return a line about the products whose default was replaced or rejected, or an empty string without products."""
    unusual = [choice for choice in choices if choice.rejected or not choice.is_default]
    usual = f"{len(choices) - len(unusual)} of {len(choices)} by default"
    return f"matrix products: {'; '.join([usual, *map(str, unusual)])}" if choices else ""


def describe_environment(device: torch.device) -> dict[str, str]:
    """Return the name of a device and the versions that its choices depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    versions = {"torch": torch.__version__, "cuda": str(torch.version.cuda), "triton": _triton_version()}
    return {"device": name, **versions, "kernels": digest({"source": inspect.getsource(fused_linear)})}


def measure(product: Product, device: torch.device, timer: Timer | None = None) -> ProductChoice:
    """Compare the implementations of a product. If none can be measured, the default is chosen and `ms` is empty."""
    operation = OPERATIONS[product.operation]
    try:
        arguments = operation.of_example(product, device)
        calls, rejected = _right_ones(operation, arguments)
        ms = dict(timer(calls) if timer else median_ms(calls, device)) if calls else {}
    except Exception as error:  # noqa: BLE001 -- such as too little memory; a training must start all the same
        return ProductChoice(product, operation.default, {}, {"all": _reason(error)})
    return ProductChoice(product, _fastest(ms, operation), ms, rejected)


def _right_ones(
    operation: Operation, arguments: tuple[Any, ...]
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return calls of the implementations that are right, and the reasons against the others."""
    exact = _comparable(operation, operation.by_torch(*(_in_float32(value) for value in arguments)))
    calls: dict[str, Callable[[], object]] = {}
    rejected = {}
    for name in operation.implementations:
        try:
            reason = _mistake(operation, _comparable(operation, operation.run(name, *arguments)), exact)
        except Exception as error:  # noqa: BLE001 -- compilers and libraries raise anything
            reason = _reason(error)
        if reason:
            rejected[name] = reason
        else:
            calls[name] = _call(operation, name, arguments)
    return calls, rejected


def _mistake(operation: Operation, results: Sequence[Tensor], exact: Sequence[Tensor]) -> str:
    """Return the reason not to use an implementation with these results, or an empty string."""
    difference = _difference(results, exact)
    if not difference <= TOLERANCE:
        return f"its result differs by {difference:.2g}"
    rounding = _rounding(results[0], exact[0]) if operation.rounds_once else 0.0
    return f"its error is {rounding:.2g} times that of one rounding" if rounding > MAX_ROUNDING else ""


def _rounding(result: Tensor, exact: Tensor) -> float:
    """Return the error of a result in units of the error of the exact result in the same type."""
    least = (exact.to(result.dtype).float() - exact).norm()
    return float((result.float() - exact).norm() / least) if least > 0 else 0.0


def _call(operation: Operation, name: str, arguments: tuple[Any, ...]) -> Callable[[], object]:
    return lambda: operation.run(name, *arguments)


def _fastest(ms: Mapping[str, float], operation: Operation) -> str:
    """Return the fastest implementation, or the default if no other one saves `MIN_GAIN`."""
    if not ms:
        return operation.default
    fastest = min(ms, key=lambda name: ms[name])
    limit = ms.get(operation.default, math.inf) * (1 - MIN_GAIN)
    return fastest if ms[fastest] < limit else operation.default


def _difference(results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Return the largest difference in units of the largest exact value; NaN is infinitely far."""
    worst = 0.0
    for result, reference in zip(results, exact, strict=True):
        apart = (result.float() - reference).abs().max() / reference.abs().max().clamp(min=1e-6)
        worst = max(worst, float(apart.nan_to_num(math.inf)))
    return worst


def _comparable(operation: Operation, result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the results, where partial sums are added, because each implementation divides them differently."""
    if not isinstance(result, tuple):
        return (result,)
    return (result[0], result[1].sum(0)) if operation.has_partial_sums else result


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_REASON].split("\n")[0]


def _triton_version() -> str:
    return str(triton.__version__) if triton else "not installed"


def _read(path: Path, environment: Mapping[str, str]) -> tuple[ProductChoice, ...]:
    """Return the choices in the file, or none if it is not there, damaged, or from elsewhere."""
    try:
        content = read_json(path, MAX_FILE_BYTES)
        is_whole = content.pop("digest", None) == digest(content)
        file = _ChoiceFile.from_dict(content, str(path))
    except (OSError, ValueError, CorruptArtifact, InvalidInput):  # ValueError: a number is NaN
        return ()
    is_own = file.format_version == _FORMAT_VERSION and file.environment == environment
    return file.choices if is_whole and is_own and all(map(_is_possible, file.choices)) else ()


def _is_possible(choice: ProductChoice) -> bool:
    """Return whether this code knows the implementation, and has measured it."""
    operation = OPERATIONS.get(choice.product.operation)
    return operation is not None and choice.implementation in operation.implementations and bool(choice.ms)


def _write(path: Path, environment: dict[str, str], choices: Sequence[ProductChoice]) -> None:
    """Write the choices, so that later trainings make the same ones. A folder that cannot be written is no error."""
    content = _ChoiceFile(_FORMAT_VERSION, environment, tuple(choices)).to_dict()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**content, "digest": digest(content)})


_of_this_process: dict[Path, dict[Product, ProductChoice]] = {}
"""Choices by the path of their file, which stay the same in a process even if the file cannot be written."""
