"""Extraction of Myna-Base embeddings from a store of 10 s clips: ours against fp32 eager, one file at a time.

Both read the same mel store and pool the same windows. The baseline is a simple loop that reads a clip, cuts its
windows, embeds them in fp32 and averages them before it reads the next clip. Ours prefetches in a thread and fills
batches across clips, in bf16 if this processor supports it. The compiled engine is measured too, which needs a C++
compiler.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ratio import compare

from model.encoder.config import preset
from model.encoder.device import fastest_precision
from model.encoder.vit import Encoder
from model.inference.engines import registry
from model.inference.engines.eager import Eager
from model.inference.engines.export import ExportPlan
from model.inference.extraction import Extraction
from model.inference.windows import Windowing
from stores.chunk_grid import ChunkGrid, plan_regions
from stores.manifest import ClipRow, assign_regions, planned_regions
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

CLIPS, FRAMES, ROUNDS = 64, 313, 7


def write_store(path: Path) -> MelStore:
    """Write a store of 10 s clips whose codes change slowly over time, like those of music."""
    grid = ChunkGrid()
    rows = [ClipRow(i, f"clip-{i}", f"{i}.wav", str(i), "") for i in range(CLIPS)]
    rows = assign_regions(rows, plan_regions([((i,), FRAMES) for i in range(CLIPS)], grid))
    settings = {"dataset": "made", "root": "/nowhere", "preprocessing": {}}
    settings |= {"mel_spec": MelSpec().to_dict(), "quantizer": Quantizer().to_dict()}
    store, rng = MelStore.create(path, rows, settings, grid), np.random.default_rng(0)
    for region in planned_regions(rows):
        walk = rng.integers(-3, 4, (128, FRAMES * len(region.clips))).cumsum(axis=1)
        store.write_region(region, (100 + walk % 100).astype(np.uint8))
        starts = [region.start_frame + FRAMES * i for i in range(len(region.clips))]
        written = [
            replace(rows[c], state="written", start_frame=s, frames=FRAMES)
            for c, s in zip(region.clips, starts, strict=True)
        ]
        store.finish_region(region, written)
    store.update(store.merged_rows())
    return store


with tempfile.TemporaryDirectory() as folder:
    torch.manual_seed(0)
    encoder, windowing = Encoder(preset("myna-base")).eval(), Windowing()
    store = write_store(Path(folder) / "made.zarr")

    def one_file_at_a_time() -> None:
        for row in store.rows[: CLIPS // 4]:
            mel = store.clip(row.index)
            windows = np.stack([mel[:, start : start + 96] for start in windowing.starts(row.frames)])
            with torch.inference_mode():
                encoder(torch.from_numpy(windows)).mean(dim=0).numpy()

    def ours(engine, clips=CLIPS // 4):
        return lambda: list(Extraction(engine, windowing).compute_parts(store, [store.rows[:clips]]))

    precision = fastest_precision()
    eager = Eager(encoder, precision, quantizer=store.quantizer).with_batch_for(CLIPS)
    name = f"{CLIPS // 4} clips of 10 s, myna-base"
    compare(f"{name}, eager {precision}", ours(eager), one_file_at_a_time, ROUNDS)
    target = Path(folder) / "compiled"
    target.mkdir()
    registry.export(encoder, "compiled", ExportPlan(precision, quantizer=store.quantizer), target)
    compare(f"{name}, compiled {precision}", ours(registry.open_exported(target, encoder)), one_file_at_a_time, ROUNDS)
