"""A function of tensors that is captured as a CUDA graph and then replayed with one launch.

The first calls run without a graph and are real steps. In these calls, libraries choose their algorithms and kernels
are compiled, which is not possible during a capture. The next call captures the graph. In later calls, inputs are
copied into the tensors that were captured. An input at the same address as the captured tensor, such as the codes of
all clips on the GPU, is not copied. If the capture fails, a warning gives the reason, and every call runs without a
graph: more slowly, but with the same results. The memory of a failed capture is given back, which PyTorch does not do
(pull requests 180395 and 190348): its allocator would believe that the capture goes on, and reuse no block that another
stream has used, so that memory would grow with every batch.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from stores.errors import InvalidInput

Result = TypeVar("Result")
WARM_UP_CALLS = 2


class CudaGraph(Generic[Result]):
    """A callable that runs `function` and replays it as a CUDA graph from the third call on.

    Args:
        function: a function of tensors with fixed shapes. It must not read values on the host. The next call overwrites
            its result.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._function, self._calls, self._capture_failed = function, 0, False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._result: Result

    @property
    def captured(self) -> bool:
        """True if calls are replayed from a captured graph."""
        return self._graph is not None

    def __call__(self, *inputs: Tensor) -> Result:
        """Return the function's result, which is valid until the next call.

        Raises:
            InvalidInput: an input has a different shape than at the capture.
        """
        self._calls += 1
        if self._calls > WARM_UP_CALLS and not self.captured and not self._capture_failed:
            self._try_to_capture(inputs)
        if self._graph is None:
            return self._run_without_graph(inputs)
        self._copy_inputs(inputs)
        self._graph.replay()
        return self._result

    def _run_without_graph(self, inputs: tuple[Tensor, ...]) -> Result:
        """Run the function on a stream other than the default one, as a capture does."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            result = self._function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        return result

    def _try_to_capture(self, inputs: tuple[Tensor, ...]) -> None:
        try:
            # a failed capture leaves its own stream as the current one, and this context restores ours
            with torch.cuda.stream(torch.cuda.current_stream()):
                self._capture(inputs)
        except RuntimeError as error:
            self._capture_failed = True
            warnings.warn(f"the step cannot be captured as a CUDA graph and runs more slowly: {error}", stacklevel=3)

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        """Record the operations of the function; a capture computes nothing."""
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            # "thread_local", because other threads allocate memory for the next batches during the capture
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self._result = self._function(*inputs)
        except RuntimeError:
            _give_back(pool)
            raise
        self._graph, self._inputs = graph, inputs

    def _copy_inputs(self, inputs: tuple[Tensor, ...]) -> None:
        for captured, current in zip(self._inputs, inputs, strict=True):
            if captured.shape != current.shape:
                raise InvalidInput(
                    f"the CUDA graph was captured for an input of shape {list(captured.shape)} (got "
                    f"{list(current.shape)}); keep the batch size fixed"
                )
            if captured.data_ptr() != current.data_ptr():
                captured.copy_(current, non_blocking=True)


def _give_back(pool: tuple[int, int]) -> None:
    """End the allocation to the memory pool of a failed capture, and release the pool.

    Each of the two is an error where PyTorch has done it itself, which depends on its version and on where the capture
    failed.
    """
    device = torch.cuda.current_device()
    for give_back in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
        with contextlib.suppress(RuntimeError):
            give_back(device, pool)
