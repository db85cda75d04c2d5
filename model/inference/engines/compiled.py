"""The compiled engine: an AOTInductor package of C++ code (Triton code on a GPU) for one batch shape, with its weights.

In bf16 it is the fastest engine on a CPU that supports bf16: 5.4 ms per window of Myna-Base on one core against 6.4 ms
with eager. Making a package needs a C++ compiler and takes 10 to 30 seconds. A package contains machine code, so load
only packages that you exported yourself.
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
from model.inference.engines.engine import Engine, EngineSettings
from model.inference.engines.export import ExportPlan, suppress_exporter_warnings
from model.inference.engines.metadata import EngineMetadata
from stores.errors import CorruptArtifact, MissingArtifact

FILE = "encoder.pt2"


def build(encoder: Encoder, plan: ExportPlan, folder: Path) -> str:
    """Write the package for batches of `batch(encoder)` windows into `folder`, and return the name of the file.

    Raises:
        MissingArtifact: there is no C++ compiler.
    """
    require()
    with suppress_exporter_warnings(), torch.no_grad():
        program = torch.export.export(plan.module(encoder), (plan.example_input(encoder, batch(encoder)),))
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(folder / FILE), inductor_configs={"freezing": True}
        )
    return FILE


def batch(encoder: Encoder) -> int:
    """Return the number of windows of every batch of a package."""
    return MAX_BATCH[next(encoder.parameters()).device.type]


def require() -> None:
    """Check that there is a C++ compiler: `$CXX`, or g++ or clang++ if that is not set.

    Raises:
        MissingArtifact: there is none.
    """
    compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in compilers):
        raise MissingArtifact(
            f"the compiled engine needs a C++ compiler, but {' or '.join(compilers)} was not found; install g++ "
            "(Debian: apt-get install g++), or set CXX to a compiler"
        )


def versions() -> dict[str, str]:
    """Return the versions of the software that makes and runs packages, which must be the same."""
    return {"torch": torch.__version__}


def device() -> dict[str, str]:
    """Return the processor that a package is made for: the GPU, or the vector instructions of the CPU."""
    if torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name()}
    return {"device": f"cpu {torch.backends.cpu.get_cpu_capability()}"}


class Compiled(Engine):
    """The engine of a loaded package.

    Raises:
        DigestMismatch: the package was made with another PyTorch or for another processor.
        CorruptArtifact: the package cannot be loaded.
    """

    def __init__(self, path: Path, metadata: EngineMetadata) -> None:
        metadata.require_environment(versions(), device())
        try:
            with suppress_exporter_warnings():
                self._package = torch._inductor.aoti_load_package(str(path))
        except (RuntimeError, OSError) as error:
            raise CorruptArtifact(f"{path} cannot be loaded: {error}; export it again") from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        settings = EngineSettings("compiled", metadata.precision, device()["device"], versions(), metadata.sha256)
        super().__init__(metadata.encoder_config(), settings, metadata.largest, metadata.code_quantizer())

    def has_fixed_batch(self) -> bool:
        """Return True, because a package supports only one batch shape."""
        return True

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            embeddings: NDArray[np.float32] = self._package(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        return embeddings
