"""The choice among implementations of a product, with stated times instead of measured ones, and its file."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch

from model.encoder.kernels import product_choice, products
from model.encoder.kernels.product_choice import choose_products, describe_choices
from model.encoder.kernels.products import Operation, Product

CPU = torch.device("cpu")
SUM = Product("sum", 3, 1, 2)


def _exact(first, second):
    return first + second


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """Return a function that replaces the kernel of an operation, which is right at first."""

    def use(function, default="cublas"):
        operation = Operation(_exact, function, default, lambda product, device: (torch.ones(3), torch.arange(3.0)))
        monkeypatch.setitem(products.OPERATIONS, "sum", operation)

    monkeypatch.setattr(products.torch.backends.cuda, "preferred_blas_library", _preferred())
    use(_exact)
    return use


def _preferred():
    current = [torch._C._BlasBackend.Cublas]

    def preferred(library=None):
        names = {"cublas": torch._C._BlasBackend.Cublas, "cublaslt": torch._C._BlasBackend.Cublaslt}
        if library is not None:
            current[0] = names.get(library, library)
        return current[0]

    return preferred


@pytest.fixture(autouse=True)
def _other_process(monkeypatch):
    """Let each test begin as a process that has made no choice."""
    monkeypatch.setattr(product_choice, "_of_this_process", {})


class StatedTimes:
    """A timer that returns stated milliseconds and counts its calls."""

    def __init__(self, **ms):
        self.ms, self.calls = ms, 0

    def __call__(self, calls):
        self.calls += 1
        return {name: self.ms[name] for name in calls}


def _times(cublas=1.0, cublaslt=1.0, triton=1.0):
    return StatedTimes(cublas=cublas, cublaslt=cublaslt, triton=triton)


@pytest.mark.parametrize(
    ("times", "default", "chosen"),
    [
        ({"cublaslt": 0.9}, "cublas", "cublaslt"),
        ({"triton": 0.5, "cublaslt": 0.9}, "cublas", "triton"),
        ({"triton": 0.99}, "cublas", "cublas"),  # less than the noise
        ({"cublas": 0.99}, "triton", "triton"),
    ],
)
def test_the_fastest_replaces_the_default_if_it_is_clearly_faster(times, default, chosen, kernel):
    kernel(_exact, default)
    assert product_choice.measure(SUM, CPU, _times(**times)).implementation == chosen


def _does_not_compile(*arguments):
    raise RuntimeError("out of resource: shared memory\nRequired: 300000")


def _almost(first, second):
    return _exact(first, second) * 1.05


def _not_a_number(first, second):
    return _exact(first, second) * torch.nan


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_does_not_compile, "RuntimeError: out of resource: shared memory"),
        (_almost, "its result differs by 0.05"),
        (_not_a_number, "its result differs by inf"),
    ],
)
@pytest.mark.parametrize("default", ["cublas", "triton"])
def test_a_candidate_that_fails_or_is_wrong_is_out_and_named(function, reason, default, kernel):
    kernel(function, default)
    choice = product_choice.measure(SUM, CPU, _times(triton=0.1))
    assert choice.implementation == "cublas"
    assert choice.rejected == {"triton": reason}
    assert f"triton rejected ({reason})" in describe_choices([choice])


def test_a_library_that_adds_parts_in_bfloat16_is_out(monkeypatch):
    def adds_parts(gradient, inputs):
        return sum((first.mT @ second for first, second in zip(gradient.chunk(8), inputs.chunk(8), strict=True)), 0)

    product = Product("weight_gradient", 24, 16, 4_096)
    operation = replace(products.OPERATIONS["weight_gradient"], kernel=adds_parts)
    monkeypatch.setitem(products.OPERATIONS, "weight_gradient", operation)
    monkeypatch.setattr(products.torch.backends.cuda, "preferred_blas_library", _preferred())
    choice = product_choice.measure(product, CPU, _times(triton=0.1))
    assert (choice.implementation, set(choice.ms)) == ("cublas", {"cublas", "cublaslt"})
    assert re.fullmatch(r"its error is \d\.\d times that of one rounding", choice.rejected["triton"])


def test_without_any_measurement_the_default_is_used_and_not_kept(kernel, monkeypatch, tmp_path):
    def no_memory(product, device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setitem(products.OPERATIONS, "sum", Operation(_exact, _exact, "triton", no_memory))
    (choice,) = choose_products([SUM], CPU, _times(), tmp_path)
    assert (choice.implementation, choice.ms) == ("triton", {})
    assert choice.rejected == {"all": "OutOfMemoryError: CUDA out of memory"}
    assert not list(tmp_path.iterdir())


def _choose(folder, timer, *products_, new_process=True):
    if new_process:
        product_choice._of_this_process.clear()
    return choose_products(products_ or [SUM], CPU, timer, folder)


def test_a_choice_is_read_again_and_new_shapes_are_added(kernel, tmp_path):
    first, second = _times(triton=0.5), _times(cublaslt=0.5)
    other = replace(SUM, rows=4)
    (choice,) = _choose(tmp_path, first)
    assert _choose(tmp_path, second) == (choice,)
    assert second.calls == 0
    assert [one.implementation for one in _choose(tmp_path, second, SUM, other)] == ["triton", "cublaslt"]
    assert [one.implementation for one in _choose(tmp_path, first, other, SUM)] == ["cublaslt", "triton"]
    assert (first.calls, second.calls) == (1, 1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["device", "torch", "cuda", "triton", "kernels"])
def test_another_device_or_library_is_measured_again(name, kernel, tmp_path, monkeypatch):
    environment = product_choice.describe_environment(CPU)
    _choose(tmp_path, _times(triton=0.5))
    monkeypatch.setattr(product_choice, "describe_environment", lambda device: environment | {name: "another"})
    (choice,) = _choose(tmp_path, _times(cublaslt=0.5))
    assert choice.implementation == "cublaslt"


def _rewritten(change, with_digest=True):
    def rewrite(path):
        content = json.loads(path.read_text())
        content.pop("digest")
        change(content)
        stated = product_choice.digest(content) if with_digest else "0" * 16
        path.write_text(json.dumps({**content, "digest": stated}))

    return rewrite


DAMAGES = {
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "too large": lambda path: path.write_bytes(path.read_bytes() + b" " * product_choice.MAX_FILE_BYTES),
    "another digest": _rewritten(lambda content: None, with_digest=False),
    "foreign": _rewritten(lambda content: content["environment"].update(device="another")),
    "newer": _rewritten(lambda content: content.update(format_version=2)),
    "unknown": _rewritten(lambda content: content["choices"][0].update(implementation="os.system")),
    "unknown operation": _rewritten(lambda content: content["choices"][0]["product"].update(operation="other")),
    "other type": _rewritten(lambda content: content["choices"][0].update(ms=[1])),
    "not a number": lambda path: path.write_text(path.read_text().replace("0.5", "NaN")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_measured_again_and_replaced(damage, kernel, tmp_path):
    _choose(tmp_path, _times(triton=0.5))
    (path,) = tmp_path.iterdir()
    DAMAGES[damage](path)
    again = _times(cublaslt=0.5)
    (choice,) = _choose(tmp_path, again)
    assert (choice.implementation, again.calls) == ("cublaslt", 1)
    assert _choose(tmp_path, again) == (choice,)
    assert again.calls == 1


def test_choices_stay_in_a_process_that_cannot_write_the_file(kernel, tmp_path):
    (tmp_path / "file").touch()
    timer = _times(triton=0.5)
    folder = tmp_path / "file" / "products"
    choices = _choose(folder, timer)
    assert _choose(folder, timer, new_process=False) == choices
    assert timer.calls == 1


def test_products_by_default_are_counted_and_others_named(kernel):
    usual = product_choice.measure(SUM, CPU, _times())
    faster = product_choice.measure(replace(SUM, rows=4), CPU, _times(triton=0.5))
    line = describe_choices([usual, faster])
    expected = "sum of 4 x 1 x 2: triton (triton 0.500 ms, cublas 1.000 ms, cublaslt 1.000 ms)"
    assert line == f"matrix products: 1 of 2 by default; {expected}"
    assert describe_choices([]) == ""
