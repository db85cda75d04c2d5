"""Implementations of the products of the trunk compared with each other, and their choice by shape in a whole trunk."""

from __future__ import annotations

import contextlib
import copy

import pytest
import tiny
import torch
import view_pairs

from model.encoder import fused
from model.encoder.config import preset
from model.encoder.kernels import attention, product_choice, products
from model.encoder.kernels.products import CUBLAS, KERNEL, OPERATIONS, Product
from model.encoder.vit import Encoder

pytest.importorskip("triton", reason="Triton is not installed, so kernels can neither run nor be interpreted")

LIBRARIES = ("cublas", "cublaslt")


@pytest.fixture(autouse=True)
def _no_choice():
    yield
    products.use({})


def _product(operation, dtype="bfloat16"):
    return Product(operation, 70, 40, 33, dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("operation", [name for name, one in OPERATIONS.items() if one.kernel])
def test_the_kernel_of_a_product_gives_the_results_of_the_library(operation, dtype):
    kind = OPERATIONS[operation]
    arguments = kind.of_example(_product(operation, dtype), view_pairs.DEVICE)
    exact = product_choice._comparable(kind, kind.by_torch(*(value.float() for value in arguments)))
    for function in (kind.kernel, kind.by_torch):
        results = product_choice._comparable(kind, function(*arguments))
        tolerance = 2e-2 if dtype == "bfloat16" else 1e-5
        assert product_choice._difference(results, exact) < tolerance


def test_examples_leave_the_random_numbers_of_a_training_as_they_are():
    state = torch.get_rng_state()
    for operation, kind in OPERATIONS.items():
        kind.of_example(_product(operation), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_product_is_described_by_its_arguments():
    for operation, kind in OPERATIONS.items():
        product = _product(operation)
        assert products.product_of(operation, *kind.of_example(product, torch.device("cpu"))[:2]) == product


def _run_trunk(monkeypatch, trunk, tokens):
    for module in (fused, attention):
        monkeypatch.setattr(module, "uses_kernels", lambda tensor: True)
    out = fused.forward(trunk, tokens)
    out.backward(torch.sin(torch.arange(out.numel())).view_as(out).to(out))
    return [out, *(weight.grad for weight in trunk.parameters())]


def test_the_products_of_a_step_are_those_that_are_chosen(monkeypatch):
    trunk = Encoder(tiny.encoder_config()).transformer.to(view_pairs.DEVICE)
    computed, product_of = set(), products.product_of

    def recorded(*arguments):
        computed.add(product_of(*arguments))
        return product_of(*arguments)

    monkeypatch.setattr(products, "product_of", recorded)
    _run_trunk(monkeypatch, trunk, torch.randn(2, 5, 32).to(view_pairs.DEVICE))
    assert {(p.operation, p.rows, p.width, p.inner) for p in computed} == {
        (p.operation, p.rows, p.width, p.inner) for p in products.products_of_trunk(tiny.encoder_config(), 10)
    }


@pytest.mark.parametrize("kernels", [False, True])
def test_a_trunk_computes_each_product_by_its_chosen_implementation(kernels, monkeypatch):
    config = tiny.encoder_config()
    trunk = Encoder(config).transformer.to(view_pairs.DEVICE)
    plain, tokens, used = copy.deepcopy(trunk), torch.randn(2, 5, 32).to(view_pairs.DEVICE), set()
    wanted = [Product(p.operation, p.rows, p.width, p.inner, "float32") for p in products.products_of_trunk(config, 10)]
    chosen = {one: KERNEL if kernels and OPERATIONS[one.operation].kernel else CUBLAS for one in wanted}
    run = products.Operation.run

    def recorded(operation, name, *arguments):
        used.add(name)
        return run(operation, name, *arguments)

    monkeypatch.setattr(products.Operation, "run", recorded)
    products.use(chosen)
    results = _run_trunk(monkeypatch, trunk, tokens)
    out = plain(tokens)
    out.backward(torch.sin(torch.arange(out.numel())).view_as(out).to(out))
    for result, expected in zip(results, [out, *(weight.grad for weight in plain.parameters())], strict=True):
        torch.testing.assert_close(result, expected, atol=2e-5, rtol=1e-4)
    assert used == set(chosen.values())


def test_a_preferred_library_holds_for_the_block_only(monkeypatch):
    current = [torch._C._BlasBackend.Cublas]

    def preferred(library=None):
        if library is not None:
            current[0] = library if not isinstance(library, str) else torch._C._BlasBackend.Cublaslt
        return current[0]

    monkeypatch.setattr(torch.backends.cuda, "preferred_blas_library", preferred)
    with products.preferred_library("cublas"):
        assert current[0] == torch._C._BlasBackend.Cublas
    with contextlib.suppress(ValueError), products.preferred_library("cublaslt"):
        assert current[0] == torch._C._BlasBackend.Cublaslt
        raise ValueError
    assert current[0] == torch._C._BlasBackend.Cublas


def test_a_step_of_the_base_encoder_has_twelve_products():
    wanted = products.products_of_trunk(preset("myna-base"), 40_960)
    assert len(wanted) == 12
    assert Product("linear", 40_960, 1_152, 384) in wanted
    assert Product("weight_gradient", 384, 1_536, 40_960) in wanted
