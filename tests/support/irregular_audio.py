"""Audio files that decoders may read in part: joined, cut, with holes, or with headers that state wrong lengths."""

from __future__ import annotations

import struct
import subprocess

import numpy as np
import soundfile
import synthetic_audio

from pipeline.audio import ffmpeg

RATE_HZ = 44_100
SECONDS = 2.0


def music(seconds=SECONDS, rate_hz=RATE_HZ, channels=2, hz=440.0):
    """Return a tone with noise, `[T, channels]` float32."""
    tone = synthetic_audio.sine(hz, seconds, rate_hz) + synthetic_audio.noise(seconds, rate_hz, amplitude=0.05)
    return np.stack([tone * 0.8**k for k in range(channels)], axis=1)


def encode(path, *options, seconds=SECONDS, rate_hz=RATE_HZ, channels=2, hz=440.0):
    """Write `music` with ffmpeg and its options, and return the path."""
    source = path.with_name(f"{path.name}.source.wav")
    soundfile.write(str(source), music(seconds, rate_hz, channels, hz), rate_hz)
    subprocess.run([ffmpeg.executable(), "-nostdin", "-v", "error", "-y", "-i", source, *options, path], check=True)
    source.unlink()
    return path


def mp3(path, *options, **sound):
    """Write an MP3 file of constant bit rate with a length header and an ID3 tag, and return the path."""
    return encode(path, "-c:a", "libmp3lame", *(options or ("-b:a", "128k")), **sound)


def plain_mp3(path, *options, **sound):
    """Write an MP3 file without a length header and without a tag, and return the path."""
    return mp3(path, *(options or ("-b:a", "128k")), "-write_xing", "0", "-id3v2_version", "0", **sound)


def join(path, *parts):
    """Write files one behind another, and return the path."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def change(path, content):
    """Replace the content of a file, and return the path."""
    path.write_bytes(content)
    return path


def cut(path, share=0.5):
    """Keep the first `share` of a file, and return the path."""
    content = path.read_bytes()
    return change(path, content[: int(share * len(content))])


def zero(path, size_bytes=200, share=0.5):
    """Overwrite bytes inside a file with zeros, and return the path."""
    content = bytearray(path.read_bytes())
    start = int(share * len(content))
    content[start : start + size_bytes] = bytes(size_bytes)
    return change(path, content)


def insert(path, extra, share=0.5):
    """Insert bytes inside a file, and return the path."""
    content = path.read_bytes()
    start = int(share * len(content))
    return change(path, content[:start] + extra + content[start:])


def state_mp3_frames(path, frames):
    """Let the length header of an MP3 file state a number of frames, and return the path."""
    content = bytearray(path.read_bytes())
    offset = max(content.find(b"Xing"), content.find(b"Info"))
    struct.pack_into(">I", content, offset + 8, frames)
    return change(path, content)


def state_flac_samples(path, samples):
    """Let STREAMINFO state a number of samples, and return the path."""
    content = bytearray(path.read_bytes())
    fields = int.from_bytes(content[18:26], "big") >> 36 << 36 | samples
    content[18:26] = fields.to_bytes(8, "big")
    return change(path, content)


def state_wav_sizes(path, data_bytes=None, riff_bytes=None):
    """Let the header of a WAV file state other sizes, and return the path."""
    content = bytearray(path.read_bytes())
    if data_bytes is not None:
        struct.pack_into("<I", content, content.find(b"data") + 4, data_bytes)
    if riff_bytes is not None:
        struct.pack_into("<I", content, 4, riff_bytes)
    return change(path, content)


def command_line_seconds(path):
    """Return the seconds that the command line of ffmpeg decodes."""
    command = [ffmpeg.executable(), "-nostdin", "-v", "quiet", "-i", path, "-map", "a:0", "-f", "au"]
    output = subprocess.run([*command, "-c:a", "pcm_f32be", "pipe:1"], capture_output=True, check=False).stdout
    start, _, _, rate_hz, channels = np.frombuffer(output[:24], ">u4", offset=4).tolist()
    return (len(output) - start) / 4 / channels / rate_hz
