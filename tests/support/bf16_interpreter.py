"""Triton's interpreter with right arithmetic in bfloat16, so that kernels in bfloat16 are tested without a GPU.

The interpreter keeps bfloat16 in 16-bit integers. It multiplies these integers in `tl.dot`, and drops bits in casts
where a GPU rounds to the nearest even value. Here, products are those of the values, summed in float32, and casts
round.
"""

from __future__ import annotations

import numpy as np
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

QUIET_NAN = np.uint16(0x7FC0)


def widen(bits):
    """Return the float32 values of bfloat16 numbers, which are 16-bit integers."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values):
    """Return float32 values as bfloat16 numbers, rounded to the nearest even one. NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), QUIET_NAN, nearest)


def install():
    """Replace products and casts of the interpreter. It is enough to do this once in a process."""
    if getattr(interpreter, "is_right_in_bf16", False):
        return
    dot, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl
    fp_to_fp = InterpreterBuilder.create_fp_to_fp

    def create_dot(self, first, second, start, *options):
        return dot(self, _widened(first), _widened(second), start, *options)

    def cast_impl(self, source, target):
        converted = _converted(source, target)
        return cast(self, source, target) if converted is None else converted

    def create_fp_to_fp(self, source, target, rounding):
        converted = _converted(source, target)
        return fp_to_fp(self, source, target, rounding) if converted is None else converted

    InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = create_dot, cast_impl
    InterpreterBuilder.create_fp_ext = InterpreterBuilder.create_fp_trunc = cast_impl
    InterpreterBuilder.create_fp_to_fp = create_fp_to_fp
    interpreter.is_right_in_bf16 = True


def _widened(handle):
    return TensorHandle(widen(handle.data), tl.float32) if handle.dtype.scalar == tl.bfloat16 else handle


def _converted(source, target):
    """Return a handle converted between bfloat16 and float32, or None for other types."""
    types = source.dtype.scalar, target.scalar
    if types == (tl.bfloat16, tl.float32):
        return TensorHandle(widen(source.data), tl.float32)
    if types == (tl.float32, tl.bfloat16):
        return TensorHandle(narrow(source.data), tl.bfloat16)
    return None
