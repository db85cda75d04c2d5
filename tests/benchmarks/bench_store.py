"""Storage of mel: the bytes per hour, encoding time and error of each type and codec.

MYNA_TEST_RECORDINGS names a folder of OGG files. Without it the audio is synthesized chords, which compress better than
music.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from numcodecs import Blosc

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import synthetic_audio

from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

SPEC, CHUNK_FRAMES, MIN_FILE_BYTES = MelSpec(), 2_048, 500_000
SHUFFLES = {"none": Blosc.NOSHUFFLE, "byte": Blosc.SHUFFLE, "bit": Blosc.BITSHUFFLE}


def mel_of_recordings() -> np.ndarray:
    """Return the mel `[128, frames]` of the recordings, or of chords if no recordings are named."""
    folder = os.environ.get("MYNA_TEST_RECORDINGS")
    if not folder:
        return mel_power(synthetic_audio.chords(600.0) + synthetic_audio.noise(600.0, amplitude=1e-3), SPEC)
    files = [path for path in sorted(Path(folder).rglob("*.ogg")) if path.stat().st_size > MIN_FILE_BYTES][::8]
    return np.concatenate([mel_power(decode(path, SPEC.sample_rate_hz).samples, SPEC) for path in files], axis=1)


def row(mel: np.ndarray, dtype: str, delta: bool, shuffle: str, level: int) -> dict:
    """Return size, time and error of the mel in one type and with one codec."""
    quantizer = Quantizer.from_dtype(dtype)
    codes = quantizer.encode(mel)
    blosc = Blosc("zstd", level, SHUFFLES[shuffle], typesize=codes.itemsize)
    size, start = 0, time.perf_counter()
    chunks = range(0, codes.shape[1] - CHUNK_FRAMES + 1, CHUNK_FRAMES)
    for frame in chunks:
        chunk = codes[:, frame : frame + CHUNK_FRAMES]
        if delta:
            chunk = np.diff(chunk.ravel(), prepend=codes.dtype.type(0)).reshape(chunk.shape)
        size += len(blosc.encode(np.ascontiguousarray(chunk)))
    seconds, hours = time.perf_counter() - start, SPEC.seconds_for(len(chunks) * CHUNK_FRAMES) / 3600
    is_audible = mel > 1e-6
    errors = np.abs(np.log10(quantizer.decode(codes)[is_audible]) - np.log10(mel[is_audible]))
    return {
        "dtype": dtype,
        "delta": delta,
        "shuffle": shuffle,
        "level": level,
        "mb_per_hour": round(size / 1e6 / hours, 2),
        "encode_ms_per_10_s": round(1e3 * seconds / hours / 360, 2),
        "largest_error_decades": round(float(errors.max()), 5),
    }


mel = mel_of_recordings()
decades = np.log10(np.maximum(mel, 1e-30))
print("decades of power at 0.1, 1, 50, 99, 99.9 %:", np.quantile(decades, [0.001, 0.01, 0.5, 0.99, 0.999]).round(2))
print(f"below the range: {(decades < Quantizer().low_decades).mean():.3f}, largest {decades.max():.2f}")
rows = [
    row(mel, dtype, delta, shuffle, level)
    for dtype in ("uint8", "uint16", "float32")
    for delta in ((False, True) if dtype != "float32" else (False,))
    for shuffle in (("none", "bit") if dtype == "uint8" else ("none", "byte", "bit"))
    for level in (1, 5)
]
for result in rows:
    print(result)
print(json.dumps({"benchmark": "stored form", "seconds": round(SPEC.seconds_for(mel.shape[1])), "rows": rows}))
