"""A function of tensors as a CUDA graph: captured once, then replayed with one launch.

The first calls run as they are, as true steps: libraries choose their algorithms and kernels are compiled, which a
capture cannot hold. The next one captures. What changes from call to call is copied over the tensors that were there at
the capture, whoever holds them; what lies at the same address (a whole collection's codes, resident on the GPU) is not.
Where the capture fails a warning says why, and every call runs as it is, slower and with the same results.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from stores.errors import InvalidInput

Result = TypeVar("Result")
WARM_UP_CALLS = 2


class Graph(Generic[Result]):
    """Calls `function`, from the third time on by replaying it.

    Args:
        function: of tensors of fixed shapes; it must not look at values, and what it returns is overwritten by the
            next call.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._function, self._calls, self._refused = function, 0, False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._result: Result

    @property
    def captured(self) -> bool:
        """Whether calls are replayed by now."""
        return self._graph is not None

    def __call__(self, *inputs: Tensor) -> Result:
        """The function's result, valid until the next call.

        Raises:
            InvalidInput: an input has another shape than at the capture.
        """
        self._calls += 1
        if self._calls > WARM_UP_CALLS and not self.captured and not self._refused:
            self._try_to_capture(inputs)
        if self._graph is None:
            return self._beside(inputs)
        self._fill(inputs)
        self._graph.replay()
        return self._result

    def _beside(self, inputs: tuple[Tensor, ...]) -> Result:
        """On another stream than the default one, as a capture will be."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            result = self._function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        return result

    def _try_to_capture(self, inputs: tuple[Tensor, ...]) -> None:
        try:
            # a capture that fails leaves its own stream behind as the current one
            with torch.cuda.stream(torch.cuda.current_stream()):
                self._capture(inputs)
        except RuntimeError as error:
            self._refused = True
            warnings.warn(f"a step cannot be captured as a CUDA graph, and runs slower: {error}", stacklevel=3)

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        """Nothing is computed meanwhile, only noted down."""
        graph = torch.cuda.CUDAGraph()
        # other threads may allocate meanwhile: they make the next batches
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._result = self._function(*inputs)
        self._graph, self._inputs = graph, inputs

    def _fill(self, inputs: tuple[Tensor, ...]) -> None:
        for kept, given in zip(self._inputs, inputs, strict=True):
            if kept.shape != given.shape:
                raise InvalidInput(
                    f"a captured step was made for {list(kept.shape)}, not {list(given.shape)}: keep the batch fixed"
                )
            if kept.data_ptr() != given.data_ptr():
                kept.copy_(given, non_blocking=True)
