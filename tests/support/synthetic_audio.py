"""Synthesized audio for tests, as arrays and as files in common formats."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from pipeline.audio import ffmpeg

RATE_HZ = 16_000
SOUNDFILE_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".w64"})
FFMPEG_OPTIONS = {
    ".m4a": ("-c:a", "aac"),
    ".opus": ("-c:a", "libopus"),
    ".webm": ("-c:a", "libopus"),
    ".mka": ("-c:a", "flac"),
    ".wma": ("-c:a", "wmav2"),
}


def times(seconds, rate_hz=RATE_HZ):
    """Return the time of each sample in seconds, `[T]` float64."""
    return np.arange(round(seconds * rate_hz)) / rate_hz


def sine(hz, seconds=1.0, rate_hz=RATE_HZ, amplitude=0.5):
    """Return a sine wave, `[T]` float32."""
    return (amplitude * np.sin(2 * np.pi * hz * times(seconds, rate_hz))).astype(np.float32)


def square(hz, seconds=1.0, rate_hz=RATE_HZ):
    """Return a square wave at full scale, `[T]` float32, which is the loudest possible signal."""
    return np.where(np.sin(2 * np.pi * hz * times(seconds, rate_hz)) >= 0, 1, -1).astype(np.float32)


def noise(seconds=1.0, rate_hz=RATE_HZ, seed=0, amplitude=0.3):
    """Return white noise, `[T]` float32."""
    uniform = np.random.default_rng(seed).uniform(-amplitude, amplitude, round(seconds * rate_hz))
    return uniform.astype(np.float32)


def chirp(start_hz, stop_hz, seconds=1.0, rate_hz=RATE_HZ, amplitude=0.5):
    """Return a sine wave whose frequency changes linearly, `[T]` float32."""
    t = times(seconds, rate_hz)
    phase = 2 * np.pi * (start_hz * t + (stop_hz - start_hz) * t**2 / (2 * seconds))
    return (amplitude * np.sin(phase)).astype(np.float32)


def chords(seconds=3.0, rate_hz=RATE_HZ, seed=0, chord_seconds=0.5):
    """Return decaying major and minor triads with four harmonics per note, `[T]` float32."""
    rng = np.random.default_rng(seed)
    total = np.zeros(round(seconds * rate_hz))
    for start in range(0, len(total), round(chord_seconds * rate_hz)):
        chord = total[start : start + round(chord_seconds * rate_hz)]
        t = np.arange(len(chord)) / rate_hz
        root, third = rng.integers(45, 64), rng.integers(3, 5)
        for note in (root, root + third, root + 7):
            hz = 440 * 2 ** ((note - 69) / 12)
            chord += sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 5)) * np.exp(-3 * t)
    return (0.8 * total / np.abs(total).max()).astype(np.float32)


def write(path: Path, samples, rate_hz=RATE_HZ, subtype=None):
    """Write `[T]` or `[T, channels]` samples in the format of the suffix of `path`, and return `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in SOUNDFILE_SUFFIXES:
        soundfile.write(str(path), samples, rate_hz, subtype=subtype)
        return path
    source = path.with_name(f"{path.name}.source.wav")
    soundfile.write(str(source), samples, rate_hz)
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-y", "-i", f"file:{source}"]
    subprocess.run([*command, *FFMPEG_OPTIONS[path.suffix], f"file:{path}"], check=True)
    source.unlink()
    return path


def loudest_hz(samples, rate_hz=RATE_HZ):
    """Return the frequency of the highest peak in the spectrum of `[T]` samples, interpolated by a parabola."""
    spectrum = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-20)
    peak = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate_hz / len(samples)


def write_text(path: Path, text="text"):
    """Write a text file, and return `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pack(path: Path, files):
    """Write `files` into a tar, a tar in gzip, a zip, or a Parquet file with the columns of the Hugging Face hub.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tar", ".gz", ".tgz"):
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
            for file in files:
                tar.add(file, file.name)
        return path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.name)
        return path
    rows = [{"video_id": file.stem, "audio": {"bytes": file.read_bytes(), "path": file.name}} for file in files]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path
