"""Compiled: an AOTInductor package, made of C++ (or Triton on a GPU) for one batch shape; weights are packed into it.

With bf16 it is the fastest on a CPU that has it: 5.4 ms a window of Myna-Base on one core against 6.4 in eager. Making
it takes a C++ compiler and 10 to 30 seconds. The package holds machine code: load only what you exported.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder.vit import Encoder
from model.inference.engines.eager import MAX_BATCH
from model.inference.engines.engine import Engine, EngineFacts
from model.inference.engines.export import ExportPlan, quiet
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, MissingArtifact

FILE = "encoder.pt2"


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the package for batches of `batch(encoder)` windows into `folder`; returns the file's name.

    Raises:
        MissingArtifact: there is no C++ compiler.
    """
    require()
    with quiet(), torch.no_grad():
        program = torch.export.export(plan.reading(encoder), (plan.example(encoder, batch(encoder)),))
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(folder / FILE), inductor_configs={"freezing": True}
        )
    return FILE


def batch(encoder: Encoder) -> int:
    """Windows of the one batch that a package runs."""
    return MAX_BATCH[next(encoder.parameters()).device.type]


def require() -> None:
    """Check that there is a C++ compiler: `$CXX`, else g++ or clang++.

    Raises:
        MissingArtifact: there is none.
    """
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in wanted):
        raise MissingArtifact(
            f"the compiled engine needs a C++ compiler, and {' or '.join(wanted)} is not there: install g++ "
            "(Debian: apt-get install g++), or set CXX to one"
        )


def versions() -> dict[str, str]:
    """Of what made it and what runs it, which must be the same."""
    return {"torch": torch.__version__}


def device() -> dict[str, str]:
    """What the machine code was made for: the GPU, or what the CPU can do."""
    if torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name()}
    return {"device": f"cpu {torch.backends.cpu.get_cpu_capability()}"}


class Compiled(Engine):
    """A loaded package.

    Raises:
        DigestMismatch: it was made with another PyTorch or for another processor.
        CorruptArtifact: it cannot be loaded.
    """

    def __init__(self, path: Path, sidecar: EngineMetadata) -> None:
        sidecar.require_here(versions(), device())
        try:
            with quiet():
                self._package = torch._inductor.aoti_load_package(str(path))
        except (RuntimeError, OSError) as error:
            raise CorruptArtifact(f"{path} cannot be loaded: {error}; export it again") from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        facts = EngineFacts("compiled", sidecar.precision, device()["device"], versions(), sidecar.sha256)
        super().__init__(sidecar.config(), facts, sidecar.largest, sidecar.codes())

    def is_fixed(self) -> bool:
        """Always: a package knows one shape."""
        return True

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embedded: NDArray[np.float32] = self._package(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        return embedded
