"""Compile the encoder's kernels for compute capability 9.0 without a GPU, and print a line of JSON for each."""

from __future__ import annotations

import json

from kernel_binary import compile_kernel

from model.encoder.kernels import attention, cells, fused_linear, mask, stream_norm

# For each kernel: the function, the types of its tensors in order, and its constants. Sizes are those of myna-base.
HEADS = {"length": 5, "heads": 6, "width": 64, "block": 64, "rows": 64, "scale": 0.125, "precision": "ieee"}
NORM = {"width": 384, "block": stream_norm._CHUNK, "block_rows": stream_norm._ROWS}
NORM_TYPES = ["bf16", "fp32", "fp32", "fp32", "i64", "bf16", "fp32"]
NORM_GRADIENT_TYPES = ["bf16", "fp32", "fp32", "bf16", "bf16", "bf16", "fp32"]
SQUARE = {"n_visible": 5, "columns": 6, "n_mels": 128, "mels": 16, "frames": 16, "epsilon": 1e-5, "patches": 8}
MASK = {"patches": 48, "visible": 5, "rows": 32, "width": 64}


def product(epilogue, width, inner, tile=None, kind="bf16", vector="bf16", has_bias=True, is_transposed=False):
    """Return a product with an epilogue as an entry of `KERNELS`, with its warps and stages."""
    tile = tile or fused_linear.TILES[epilogue]
    second = vector if epilogue == fused_linear.SLOPE else kind
    constants = {"width": width, "inner": inner, "epilogue": epilogue, "has_bias": has_bias}
    constants["is_transposed"] = is_transposed
    sizes = {"block_rows": tile.rows, "block": tile.columns, "block_inner": tile.inner, "precision": "ieee"}
    types = [kind, kind, kind, vector, kind, second]
    return fused_linear._linear, types, constants | sizes, tile.warps, tile.stages


KERNELS = {
    "attention": (attention._forward, ["bf16"] * 2, HEADS),
    "attention, backward": (attention._backward, ["bf16"] * 3, HEADS),
    "attention, fp32": (attention._forward, ["fp32"] * 2, HEADS | {"rows": 16}),
    "attention, backward, fp32": (attention._backward, ["fp32"] * 3, HEADS | {"rows": 16}),
    "attention, 48 tokens": (attention._forward, ["bf16"] * 2, HEADS | {"length": 48}),
    "stream_norm": (stream_norm._forward, NORM_TYPES, NORM | {"epsilon": 1e-5, "has_positions": False}),
    "stream_norm, backward": (stream_norm._backward, NORM_GRADIENT_TYPES, NORM | {"has_stream": True}),
    "token_norm": (stream_norm._forward, NORM_TYPES, NORM | {"epsilon": 1e-5, "has_positions": True}),
    "token_norm, backward": (stream_norm._backward, NORM_GRADIENT_TYPES, NORM | {"has_stream": False}),
    "linear_gelu": product(fused_linear.GELU, 1536, 384, vector="fp32"),
    "gelu_gradient": product(fused_linear.SLOPE, 1536, 384, vector="fp32", is_transposed=True),
    "linear_residual, attention": product(fused_linear.RESIDUAL, 384, 384, has_bias=False),
    "linear_residual, feed-forward": product(fused_linear.RESIDUAL, 384, 1536),
    "linear_plain, queries": product(fused_linear.PLAIN, 1152, 384, has_bias=False),
    "linear_plain, transposed": product(fused_linear.PLAIN, 384, 1536, has_bias=False, is_transposed=True),
    "linear_gelu, fp32": product(fused_linear.GELU, 1536, 384, fused_linear.EXACT_TILE, "fp32", "fp32"),
    "cells, square": (cells._normalize_cells, ["u8", "i64", "i64", "fp32", "bf16"], SQUARE),
    "cells, vertical": (
        cells._normalize_cells,
        ["u8", "i64", "i64", "fp32", "bf16"],
        SQUARE | {"columns": 48, "mels": 128, "frames": 2},
    ),
    "mask": (mask._top_patches, ["i64"] * 3, MASK),
}


def report(name, kernel, types, constants, warps=4, stages=3):
    """Compile a kernel, and return what its binary says as a dictionary."""
    return {"kernel": name, **compile_kernel(kernel, types, constants, warps, stages).facts()}


if __name__ == "__main__":
    for name, entry in KERNELS.items():
        print(json.dumps(report(name, *entry)), flush=True)
