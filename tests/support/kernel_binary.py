"""Kernels compiled for compute capability 9.0 without a GPU, and what their instructions say.

Instructions are counted in the disassembled binary. A loop is what lies between a label and a branch back to it, and
the caller says how often it runs. Instructions behind the last exit, which only fill the binary up, do not count.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget

TARGET = GPUTarget("cuda", 90, 32)
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][\w.]*)(.*);")
_LABEL = re.compile(r"^(\.L_x_\d+):")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a kernel."""

    name: str
    """Name with its modifiers, such as `LDG.E.128`."""
    operands: str
    """The rest of the line."""


@dataclass(frozen=True)
class Binary:
    """A compiled kernel."""

    instructions: tuple[Instruction, ...]
    """All instructions up to the last exit."""
    loops: tuple[tuple[int, int], ...]
    """First instruction and the one after the last of each loop, in the order of their ends."""
    registers: int
    """Registers of a thread."""
    stack_bytes: int
    """Bytes of a thread that do not fit into registers."""
    shared_bytes: int
    """Shared memory of a program."""
    warps: int
    """Warps of a program."""

    def executed(self, trips: Sequence[int]) -> int:
        """Return the instructions that each warp executes if the loops run so often, each in its surrounding one.

        Raises:
            ValueError: the number of loops is another.
        """
        return len(self.executed_names(trips))

    def executed_names(self, trips: Sequence[int]) -> list[str]:
        """Return the names of these instructions, with repetitions and in no order of time."""
        if len(trips) != len(self.loops):
            raise ValueError(f"the kernel has {len(self.loops)} loops, and {len(trips)} numbers of trips are stated")
        names = []
        for position, instruction in enumerate(self.instructions):
            times = 1
            for count, (first, end) in zip(trips, self.loops, strict=True):
                times *= count if first <= position < end else 1
            names += [instruction.name] * times
        return names

    def access_bytes(self) -> dict[str, int]:
        """Return the bytes of the widest load and of the widest store of global memory by a thread."""
        widths: Counter[str] = Counter()
        for instruction in self.instructions:
            if access := re.match(r"(LDG|STG|LDGSTS)\.E(.*)", instruction.name):
                bits = re.search(r"\b(128|64)\b", access[2])
                width = int(bits[1]) // 8 if bits else 2 if "U16" in access[2] else 1 if "U8" in access[2] else 4
                kind = "store" if access[1] == "STG" else "load"
                widths[kind] = max(widths[kind], width)
        return dict(widths)

    def facts(self) -> dict[str, Any]:
        """Return what the binary says by name: registers, spills, widths of accesses, and use of tensor cores."""
        return {
            "registers": self.registers,
            "stack_bytes": self.stack_bytes,
            "shared_bytes": self.shared_bytes,
            **{f"{kind}_bytes": width for kind, width in self.access_bytes().items()},
            "tensor_cores": any("GMMA" in one.name or "HMMA" in one.name for one in self.instructions),
            "instructions": len(self.instructions),
        }


def compile_kernel(
    kernel: Any, types: Sequence[str] | Mapping[str, str], constants: Mapping[str, Any], warps: int = 4, stages: int = 3
) -> Binary:
    """Compile a kernel.

    Args:
        kernel: function with `triton.jit`.
        types: types of its tensors by name, or in the order of its first parameters.
        constants: values of its constants.
        warps: warps of a program.
        stages: tiles that are loaded at the same time.
    """
    if not isinstance(types, Mapping):
        types = dict(zip(kernel.arg_names, types, strict=False))
    signature = {name: "constexpr" if name in constants else "i32" for name in kernel.arg_names}
    signature |= {name: f"*{kind}" for name, kind in types.items()}
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(kernel.arg_names) if name in types}
    source = triton.compiler.ASTSource(kernel, signature, dict(constants), aligned)
    binary = triton.compile(source, target=TARGET, options={"num_warps": warps, "num_stages": stages})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        usage, text = _run("cuobjdump", "-res-usage", file.name), _run("nvdisasm", "-c", file.name)
    registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())
    instructions, loops = parse(text)
    return Binary(instructions, loops, registers, stack, binary.metadata.shared, warps)


def parse(text: str) -> tuple[tuple[Instruction, ...], tuple[tuple[int, int], ...]]:
    """Return the instructions and the loops of a disassembled kernel."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    loops: dict[int, int] = {}
    end = 0
    for line in text.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif parts := _INSTRUCTION.match(line):
            name, operands = parts.groups()
            instructions.append(Instruction(name, operands))
            target = re.search(r"\.L_x_\d+", operands) if name == "BRA" else None
            if target and target[0] in labels and labels[target[0]] < len(instructions) - 1:
                loops[labels[target[0]]] = len(instructions)  # several branches back to one label are one loop
            end = len(instructions) if name == "EXIT" else end
    return tuple(instructions[:end]), tuple(sorted(loops.items(), key=lambda loop: loop[1]))


def _run(tool: str, *words: str) -> str:
    return subprocess.run([TOOLS / tool, *words], capture_output=True, text=True, check=True).stdout
