"""Automatic selection (`--engine auto`): the first engine of a table that can run on this machine.

An engine was compared with eager when it was exported, so every exported engine of the table is accurate enough. The
order of the rows was measured on CPUs (docs/embedding.md). The engines `tensorrt` and `tensorrt-rtx` are not in the
table, because they have not been executed yet. They must be named explicitly.
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
    """Engine that is selected if it can be opened."""
    gpu: bool
    """True if the row applies to machines with a GPU, and false for machines without one."""
    precision: str
    """Fastest precision of the machines that the row applies to."""
    reason: str
    """Reason for the selection, which is printed after "because"."""


RULES = (
    Rule("compiled", True, "bf16", "it was exported on this GPU with this PyTorch"),
    Rule("eager", True, "bf16", "no exported engine can run on this machine"),
    Rule("compiled", False, "bf16", "it was exported for this processor, at 5.4 ms per window against 6.4 with eager"),
    Rule("eager", False, "bf16", "the processor has bf16, at 6.4 ms per window against 12.4 with ONNX Runtime in fp32"),
    Rule("onnx", False, "fp32", "the processor has no bf16, and ONNX takes 12.4 ms per window against 23.5 with eager"),
    Rule("compiled", False, "fp32", "the processor has no bf16, and no ONNX graph was exported"),
    Rule("eager", False, "fp32", "the processor has no bf16, and no engine was exported"),
)


def select(
    encoder: Encoder, checkpoint: Path, quantizer: Quantizer | None = None, rules: tuple[Rule, ...] = RULES
) -> tuple[Engine, list[str]]:
    """Return the first engine of the table that can run on this machine, and messages about the choice, one per line.

    Args:
        encoder: the encoder.
        checkpoint: path of the encoder; exported engines are stored beside it.
        quantizer: quantizer of the store; None if the engine gets power.
        rules: the table.

    Raises:
        MissingArtifact: no row applies to this machine.
    """
    gpu, precision = torch.cuda.is_available(), fastest_precision()
    messages: list[str] = []
    for rule in rules:
        if (rule.gpu, rule.precision) != (gpu, precision):
            continue
        try:
            engine = registry.open_engine(encoder, checkpoint, rule.engine, precision, quantizer=quantizer)
            if quantizer is not None:
                engine.accepts_codes(quantizer)
            return engine, [*messages, f"engine auto: {rule.engine} in {precision}, because {rule.reason}"]
        except MynaError as error:
            messages.append(f"engine auto: not {rule.engine}, because {error}")
    raise MissingArtifact(f"--engine auto has no rule for this machine (GPU: {gpu}, {precision}); name an engine")
