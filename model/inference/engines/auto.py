"""`--engine auto`: a table of rules, read from the top; it says what it chose and why.

An engine that was exported was compared with eager before it was published, so each of them may be chosen; which is
faster was measured (docs/embedding.md). TensorRT for RTX is never chosen: it has not been run yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from model.encoder.device import fastest_precision
from model.encoder.vit import Encoder
from model.inference.engines import registry
from model.inference.engines.engine import Engine
from stores.errors import MissingArtifact, MynaError
from stores.quantize import Quantizer


@dataclass(frozen=True)
class Rule:
    """One row of the table."""

    engine: str
    """What is chosen if it can be opened."""
    gpu: bool
    """Whether this row is for machines with a GPU."""
    precision: str
    """Precision that the row is for: the fastest of this machine."""
    why: str
    """What the choice rests on."""


RULES = (
    Rule("tensorrt", True, "bf16", "it was exported for this GPU, and was as good as eager"),
    Rule("compiled", True, "bf16", "it was exported on this GPU with this PyTorch"),
    Rule("eager", True, "bf16", "nothing that was exported can run here"),
    Rule("compiled", False, "bf16", "it was exported for this processor, and 5.4 ms a window beat eager's 6.4"),
    Rule("eager", False, "bf16", "the processor multiplies bf16: 6.4 ms a window, ONNX Runtime takes 12.4 in fp32"),
    Rule("onnx", False, "fp32", "the processor has no bf16, and 12.4 ms a window beat eager's 23.5"),
    Rule("compiled", False, "fp32", "the processor has no bf16, and no ONNX graph was exported"),
    Rule("eager", False, "fp32", "the processor has no bf16, and nothing was exported"),
)


def choose(
    encoder: Encoder, checkpoint: Path, quantizer: Quantizer | None = None, rules: tuple[Rule, ...] = RULES
) -> tuple[Engine, list[str]]:
    """The first engine of the table that can run here, and what to tell of it, a line each.

    Args:
        encoder: what it embeds with.
        checkpoint: where that was read; exports lie beside it.
        quantizer: of the store that is embedded.
        rules: the table.
    """
    gpu, precision = torch.cuda.is_available(), fastest_precision()
    told: list[str] = []
    for rule in rules:
        if (rule.gpu, rule.precision) != (gpu, precision):
            continue
        try:
            engine = registry.engine(encoder, checkpoint, rule.engine, precision, quantizer=quantizer)
            if quantizer is not None:
                engine.reads(quantizer)
            return engine, [*told, f"engine auto: {rule.engine}, {precision}: {rule.why}"]
        except MynaError as error:
            told.append(f"engine auto: not {rule.engine}: {error}")
    raise MissingArtifact(f"no rule of --engine auto fits (GPU {gpu}, {precision}); name an engine")
