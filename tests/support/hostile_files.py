"""Damaged, false and unusual audio files, made from a few valid ones."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import synthetic_audio

from pipeline.audio import ffmpeg

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".webm", ".aiff", ".au", ".mka", ".w64", ".wma")
CUTS = (0, 1, 2, 3, 4, 8, 12, 16, 32, 44, 64, 100, 200, 500, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, -1)
"""Lengths that files are cut to: bytes (int), a share of the file (float), or all but the last byte (-1)."""
GOOD_NAMES = (
    *("with space.wav", "quote'and\"quotes.wav", "-rf.wav", "--help.wav", "new\nline.wav", "tab\there.wav"),
    *("$(touch x).wav", "percent%d%s.wav", "co:lon.wav", "http:__x.wav", "back\\slash.wav", "ünïcödé 音楽.wav"),
    *("🎵.wav", "a" * 200 + ".wav", ";ls.wav", "|cat.wav", "*.wav", "[a].wav", "\x1b[31mred.wav", "\u202egnp.wav"),
    *("x.tar.wav", "concat:a|b.wav"),
)


def originals(folder: Path) -> dict[str, bytes]:
    """Return valid files of two seconds of chords, by suffix."""
    stereo = np.stack(
        [synthetic_audio.chords(2.0, 48_000, seed=1), synthetic_audio.chords(2.0, 48_000, seed=2)], axis=1
    )
    return {suffix: synthetic_audio.write(folder / f"x{suffix}", stereo, 48_000).read_bytes() for suffix in SUFFIXES}


def truncations(valid: dict[str, bytes]) -> dict[str, bytes]:
    """Return every valid file cut to every length of `CUTS`, by name."""
    files = {}
    for suffix, content in valid.items():
        for cut in CUTS:
            length = int(cut * len(content)) if isinstance(cut, float) else cut
            files[f"cut-{cut}{suffix}"] = content[:length]
    return files


def flip_bits(content: bytes, rng: random.Random, bits: int) -> bytes:
    """Return `content` with `bits` bits flipped, half of them in the first kilobyte, where headers are."""
    changed = bytearray(content)
    for number in range(bits if content else 0):
        end = min(len(changed), 1024) if number % 2 else len(changed)
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def splice(first: bytes, second: bytes, rng: random.Random) -> bytes:
    """Return the start of the first file followed by the end of the second."""
    return first[: rng.randrange(1, len(first))] + second[rng.randrange(len(second)) :]


def mutate(contents: list[bytes], rng: random.Random) -> bytes:
    """Return one of `contents` after one to three random changes.

    A change flips bits, cuts the end, splices with another file, or repeats, removes or overwrites a span of bytes.
    """
    content = rng.choice(contents)
    for _ in range(rng.randint(1, 3)):
        first, last = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        content = rng.choice(
            [
                lambda c=content: flip_bits(c, rng, rng.choice([1, 4, 32, 256])),
                lambda c=content, n=first: c[: max(1, n)],
                lambda c=content: splice(c, rng.choice(contents), rng),
                lambda c=content, a=first, b=last: c[:b] + c[a:],
                lambda c=content, a=first, b=last: c[:a] + c[b:] or b"x",
                lambda c=content, a=first, b=last: c[:a] + bytes([rng.randrange(256)]) * (b - a) + c[b:],
            ]
        )()
    return content


def flips_and_splices(valid: dict[str, bytes], seed: int = 0) -> dict[str, bytes]:
    """Return valid files with flipped bits, spliced with another format, or under another suffix, by name."""
    rng = random.Random(seed)
    files = {}
    for suffix, content in valid.items():
        for bits in (1, 2, 8, 64, 1000):
            files[f"flip-{bits}{suffix}"] = flip_bits(content, rng, bits)
        other_suffix = rng.choice([name for name in valid if name != suffix])
        files[f"splice-{other_suffix[1:]}{suffix}"] = splice(content, valid[other_suffix], rng)
        files[f"renamed{suffix}"] = valid[other_suffix]
    return files


def without_audio() -> dict[str, bytes]:
    """Return files that contain no audio but have names of audio files."""
    rng = random.Random(1)
    contents = {
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "noise": rng.randbytes(100_000),
        "text": b"no audio here\n" * 1000,
        "page": b"<!DOCTYPE html><html><body>404</body></html>",
        "magic": b"RIFF\xff\xff\xff\xffWAVE",
    }
    return {f"{name}{suffix}": content for name, content in contents.items() for suffix in (".wav", ".mp3", ".ogg")}


def false_headers(wav: bytes, flac: bytes) -> dict[str, bytes]:
    """Return files whose headers claim impossible sizes, rates, channels or bit depths, by name."""
    files = {}
    for name, offset, layout, values in (
        ("riff", 4, "<I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)),
        ("format-length", 16, "<I", (0, 1, 0xFFFFFFFF)),
        ("channels", 22, "<H", (0, 255, 65535)),
        ("rate", 24, "<I", (0, 1, 0xFFFFFFFF)),
        ("align", 32, "<H", (0, 1, 65535)),
        ("bits", 34, "<H", (0, 1, 7, 65535)),
        ("data", 40, "<I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)),
    ):
        for value in values:
            changed = bytearray(wav)
            struct.pack_into(layout, changed, offset, value)
            files[f"false-{name}-{value}.wav"] = bytes(changed)
    for name, offset in (("blocks", 8), ("rate", 18), ("samples", 21), ("length", 5)):
        changed = bytearray(flac)
        changed[offset : offset + 3] = b"\xff\xff\xff"
        files[f"false-{name}.flac"] = bytes(changed)
    return files


def with_cover(mp3: bytes, megabytes: int = 20) -> bytes:
    """Return an MP3 file with an ID3 tag whose cover picture has `megabytes` MiB."""
    picture = b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(megabytes << 20)
    frame = b"APIC" + _synchsafe(len(picture)) + b"\0\0" + picture
    return b"ID3\4\0\0" + _synchsafe(len(frame)) + frame + mp3


def _synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def odd_audio(folder: Path) -> dict[str, bool]:
    """Write valid files with unusual content, and return for each name whether the clip can be stored."""
    music, quiet = synthetic_audio.chords(2.0), np.zeros(32_000, np.float32)
    with_nan = music.copy()
    with_nan[7] = np.nan
    with_infinity = music.copy()
    with_infinity[-1] = np.inf
    eight_channels = np.stack([synthetic_audio.chords(2.0, 48_000, seed=k) for k in range(8)], axis=1)
    files: dict[str, tuple[np.ndarray, int, str | None, bool]] = {
        "no-sample.wav": (music[:0], 16_000, None, False),
        "one-sample.wav": (music[99:100], 16_000, None, False),
        "no-sample.flac": (music[:0], 16_000, None, False),
        "one-sample.flac": (music[99:100], 16_000, None, False),
        "silence.wav": (quiet, 16_000, None, False),
        "silence.ogg": (quiet, 16_000, None, False),
        "nan.wav": (with_nan, 16_000, "FLOAT", False),
        "inf.wav": (with_infinity, 16_000, "DOUBLE", False),
        "huge.wav": (music * np.float32(1e30), 16_000, "FLOAT", False),
        "bits-8.wav": (music, 16_000, "PCM_U8", True),
        "bits-24.wav": (music, 16_000, "PCM_24", True),
        "bits-32.wav": (music, 16_000, "PCM_32", True),
        "bits-8.aiff": (music, 16_000, "PCM_S8", True),
        "alaw.wav": (music, 16_000, "ALAW", True),
        "adpcm.wav": (music, 16_000, "IMA_ADPCM", True),
        "rate-8000.wav": (synthetic_audio.chords(2.0, 8_000), 8_000, None, True),
        "rate-192000.flac": (synthetic_audio.chords(2.0, 192_000), 192_000, None, True),
        "channels-8.wav": (eight_channels, 48_000, None, True),
        "channels-8.flac": (eight_channels, 48_000, None, True),
    }
    for name, (samples, rate_hz, subtype, _) in files.items():
        soundfile.write(str(folder / name), samples, rate_hz, subtype=subtype)
    soundfile.write(str(folder / "hour-of-silence.flac"), np.zeros(3600 * 16_000, np.int16), 16_000)
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64"]
    subprocess.run([*command, "-y", str(folder / "only-video.mp4")], check=True)
    return {name: storable for name, (*_, storable) in files.items()} | {
        "hour-of-silence.flac": False,
        "only-video.mp4": False,
    }


def links_and_pipes(folder: Path, target: Path) -> None:
    """Create links, a pipe and a folder with names of audio files, of which only `link-to-good.wav` can be stored."""
    (folder / "link-to-good.wav").symlink_to(target)
    (folder / "link-to-nothing.wav").symlink_to("nowhere.wav")
    (folder / "loop-a.wav").symlink_to("loop-b.wav")
    (folder / "loop-b.wav").symlink_to("loop-a.wav")
    (folder / "link-to-zeros.wav").symlink_to("/dev/zero")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
