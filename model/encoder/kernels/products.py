"""The matrix products of the trunk in training, each by the implementation that was chosen for its shape.

A product with an epilogue has a kernel of its own, and the libraries compute it with passes over memory. Other products
are those of cuBLAS, cublasLt or our kernel. `product_choice` measures them once on a GPU, and `use` makes its choice
the one of this process. Other shapes and types are computed as they are without a choice: products with an epilogue by
the kernel, and others by PyTorch's default.

cublasLt has an epilogue with a GELU, but by its approximation with tanh. PyTorch's own tuning (`torch.cuda.tunable`)
compares libraries of AMD only.

Axes: R token (windows and tokens flat), D width, F hidden width or width of a projection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.config import EncoderConfig
from model.encoder.kernels import fused_linear

CUBLAS, CUBLASLT, KERNEL = "cublas", "cublaslt", "triton"
Function = Callable[..., Any]


@dataclass(frozen=True)
class Product:
    """A matrix product of the step, which has its own choice."""

    operation: str
    """Name in `OPERATIONS`."""
    rows: int
    """Rows M of the result."""
    width: int
    """Columns N of the result."""
    inner: int
    """Numbers K that are multiplied and summed for each element."""
    dtype: str = "bfloat16"
    """Type of the matrices."""

    def __str__(self) -> str:
        return f"{self.operation} of {self.rows} x {self.width} x {self.inner}"


@dataclass(frozen=True)
class Operation:
    """A kind of product, with a function of PyTorch and a kernel that give the same results."""

    by_torch: Function
    """Computation by PyTorch, for which either library may be preferred."""
    kernel: Function | None
    """Computation by our kernel, if there is one."""
    default: str
    """Implementation where nothing was measured."""
    of_example: Callable[[Product, torch.device], tuple[Any, ...]]
    """Random arguments for a product."""
    has_partial_sums: bool = False
    """True if the second result consists of partial sums."""
    rounds_once: bool = False
    """True if the result is a sum in float32 that is rounded at the end only."""

    @property
    def implementations(self) -> tuple[str, ...]:
        """Names of the implementations, the default first."""
        names = (CUBLAS, CUBLASLT, *([KERNEL] if self.kernel else []))
        return (self.default, *(name for name in names if name != self.default))

    def run(self, name: str, *arguments: Any) -> Any:
        """Compute with one of the implementations."""
        if name == KERNEL:
            assert self.kernel is not None
            return self.kernel(*arguments)
        with preferred_library(name):
            return self.by_torch(*arguments)


def linear(inputs: Float[Tensor, "*R D"], weight: Float[Tensor, "F D"]) -> Float[Tensor, "*R F"]:
    """Return `inputs @ weight.T` with its gradients."""
    return _Linear.apply(inputs, weight)


def compute(operation: str, first: Float[Tensor, "*R M"], second: Float[Tensor, "*S N"], *others: Any) -> Any:
    """Compute a product with the implementation that was chosen for its shape and type.

    Args:
        operation: name in `OPERATIONS`.
        first: inputs `[*R, K]`, or for a weight gradient the gradient of the output `[*R, M]`.
        second: weight, or for a weight gradient the inputs `[*R, N]`.
        others: what the operation takes besides.
    """
    name = _chosen.get(product_of(operation, first, second))
    if name is not None:
        return OPERATIONS[operation].run(name, first, second, *others)
    kind = OPERATIONS[operation]
    function = kind.kernel if kind.default == KERNEL else kind.by_torch
    assert function is not None
    return function(first, second, *others)


def product_of(operation: str, first: Float[Tensor, "*R M"], second: Float[Tensor, "*S N"]) -> Product:
    """Return the description of a product by its arguments, which are those of `compute`."""
    dtype, tokens = str(first.dtype).removeprefix("torch."), first.numel() // first.shape[-1]
    if operation == "weight_gradient":
        return Product(operation, first.shape[-1], second.shape[-1], tokens, dtype)
    is_transposed = operation in ("input_gradient", "gelu_gradient")
    return Product(operation, tokens, second.shape[1 if is_transposed else 0], first.shape[-1], dtype)


def products_of_trunk(encoder: EncoderConfig, tokens: int) -> tuple[Product, ...]:
    """Return the products of a step whose patch kinds have this many visible tokens together."""
    width, inner, hidden = encoder.width, encoder.heads * encoder.head_width, encoder.mlp_width
    forward = [
        Product("linear", tokens, 3 * inner, width),
        Product("linear_residual", tokens, width, inner),
        Product("linear_gelu", tokens, hidden, width),
        Product("linear_residual", tokens, width, hidden),
    ]
    backward = [
        Product("input_gradient", tokens, width, 3 * inner),
        Product("input_gradient", tokens, inner, width),
        Product("input_gradient", tokens, width, hidden),
        Product("gelu_gradient", tokens, hidden, width),
    ]
    shapes = ((3 * inner, width), (width, inner), (hidden, width), (width, hidden))
    return tuple(dict.fromkeys([*forward, *backward, *(Product("weight_gradient", *one, tokens) for one in shapes)]))


def use(chosen: Mapping[Product, str]) -> None:
    """Make these implementations those of the process, instead of any earlier choice."""
    _chosen.clear()
    _chosen.update(chosen)


@contextlib.contextmanager
def preferred_library(name: str) -> Iterator[None]:
    """Let PyTorch compute products by `cublas` or `cublaslt` while the block runs."""
    previous = torch.backends.cuda.preferred_blas_library()
    if str(previous).lower().endswith(f".{name}"):  # setting it would print a warning
        yield
        return
    torch.backends.cuda.preferred_blas_library(name)
    try:
        yield
    finally:
        torch.backends.cuda.preferred_blas_library(previous)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        """Multiply; save both."""
        ctx.save_for_backward(inputs, weight)
        out: Tensor = compute("linear", inputs, weight)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the inputs and of the weight."""
        inputs, weight = ctx.saved_tensors
        return compute("input_gradient", gradient, weight), compute("weight_gradient", gradient, inputs)


def _multiply_transposed(gradient: Tensor, weight: Tensor) -> Tensor:
    return fused_linear.multiply(gradient, weight, is_transposed=True)


def _weight_gradient(gradient: Tensor, inputs: Tensor) -> Tensor:
    return gradient.flatten(end_dim=-2).mT @ inputs.flatten(end_dim=-2)


def _linear_residual(inputs: Tensor, weight: Tensor, bias: Tensor | None, stream: Tensor) -> Tensor:
    """Compute `fused_linear.linear_residual` by a product that adds to what its result holds."""
    out = stream.clone() if bias is None else stream + bias
    out.view(-1, out.shape[-1]).addmm_(inputs.flatten(end_dim=-2), weight.mT)
    return out


def _gelu_gradient(gradient: Tensor, weight: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `fused_linear.gelu_gradient`, with the whole sum in the first of the partial sums."""
    out = torch.ops.aten.gelu_backward(gradient @ weight, hidden)
    partial = torch.zeros((fused_linear.partial_sums(hidden), hidden.shape[-1]), device=hidden.device)
    torch.sum(out.flatten(end_dim=-2), dim=0, dtype=torch.float32, out=partial[0])
    return out, partial


class _Examples:
    """Random arguments for a product, from a generator of their own, which changes nothing of a training."""

    def __init__(self, product: Product, device: torch.device) -> None:
        self._product, self._device = product, device
        self._generator = torch.Generator(device).manual_seed(0)

    def matrix(self, *shape: int) -> Tensor:
        """Return values near those of a network, so that sums of K products have about the variance 1."""
        dtype = getattr(torch, self._product.dtype)
        values = torch.randn(shape, generator=self._generator, device=self._device, dtype=dtype)
        return values * self._product.inner**-0.25


def _of_linear(product: Product, device: torch.device) -> tuple[Any, ...]:
    examples = _Examples(product, device)
    return examples.matrix(product.rows, product.inner), examples.matrix(product.width, product.inner)


def _of_transposed(product: Product, device: torch.device) -> tuple[Any, ...]:
    examples = _Examples(product, device)
    return examples.matrix(product.rows, product.inner), examples.matrix(product.inner, product.width)


def _of_weight_gradient(product: Product, device: torch.device) -> tuple[Any, ...]:
    examples = _Examples(product, device)
    return examples.matrix(product.inner, product.rows), examples.matrix(product.inner, product.width)


def _of_gelu(product: Product, device: torch.device) -> tuple[Any, ...]:
    return *_of_linear(product, device), _Examples(product, device).matrix(product.width)


def _of_residual(product: Product, device: torch.device) -> tuple[Any, ...]:
    return *_of_gelu(product, device), _Examples(product, device).matrix(product.rows, product.width)


def _of_slope(product: Product, device: torch.device) -> tuple[Any, ...]:
    return *_of_transposed(product, device), _Examples(product, device).matrix(product.rows, product.width)


OPERATIONS = {
    "linear": Operation(F.linear, fused_linear.multiply, CUBLAS, _of_linear, rounds_once=True),
    "linear_residual": Operation(_linear_residual, fused_linear.linear_residual, KERNEL, _of_residual),
    "linear_gelu": Operation(fused_linear.linear_gelu_plain, fused_linear.linear_gelu, KERNEL, _of_gelu),
    "input_gradient": Operation(torch.matmul, _multiply_transposed, CUBLAS, _of_transposed, rounds_once=True),
    "gelu_gradient": Operation(_gelu_gradient, fused_linear.gelu_gradient, KERNEL, _of_slope, has_partial_sums=True),
    "weight_gradient": Operation(_weight_gradient, None, CUBLAS, _of_weight_gradient, rounds_once=True),
}
"""All operations by name. A kernel for weight gradients would have to add the parts of a sum over all tokens."""
_chosen: dict[Product, str] = {}
