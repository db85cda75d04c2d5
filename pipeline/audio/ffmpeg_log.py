"""The log of an ffmpeg process at the level `info`, where each line names its level: errors, and what the file states.

A file can contain any text, and ffmpeg prints its metadata. So only lines of the expected form are read, and what they
say is used for warnings only.
"""

from __future__ import annotations

import re

ESTIMATED_MESSAGE = "Estimating duration from bitrate"
"""Text of the warning that the printed length is a guess of ffmpeg, and no statement of the file."""
TOLERANCE_SECONDS, TOLERANCE_SHARE = 0.25, 0.002
"""Seconds and share by which the audio of an intact file may be shorter than its container: codecs have delays."""
VIDEO_TOLERANCE_SECONDS, VIDEO_TOLERANCE_SHARE = 2.0, 0.02
"""The same for a container with video, whose length is that of the longest stream."""
_LINE = re.compile(r"^(?P<context>(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )*)(?:\[(?P<level>[a-z]+)\] )?(?P<text>.*)$")
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_REDUNDANT = re.compile(r"^ *Last message repeated|^Error opening input files?\b")
_MUXER_MESSAGE = "non monotonically increasing dts"
"""Text of a message about the output. The input has a jump in its time stamps, and no sample is lost."""
_SIGNS_OF_LOSS = ("Found duplicated MOOV Atom", "PES packet size mismatch")
"""Texts of warnings that are errors here: another MP4 file after the first one is skipped, and a packet of an MPEG
transport stream is incomplete.
"""
_INCOMPLETE_PACKET = "corrupt input packet in stream"
"""Text of the warning that the file ends inside a packet. It is none if a writer to a pipe stated no length."""
_ERROR_LEVELS = ("error", "fatal", "panic")
_DURATION = re.compile(r"^\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
_AUDIO = re.compile(r"^\[info\]   Stream #0:\d+.*?: Audio: (\w+)", re.MULTILINE)
_VIDEO = re.compile(r"^\[info\]   Stream #0:\d+.*?: Video: (?!.*\(attached pic\))", re.MULTILINE)


class FfmpegLog:
    """The log of one process.

    Args:
        text: what the process has printed on standard error.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def errors(self) -> str:
        """Return the distinct errors in alphabetical order, without what differs between runs.

        These are the addresses and the order of threads. Lines without a level are continued lines, unless no line has
        one, because another program wrote them.
        """
        lines = [match.groupdict() for line in self._text.splitlines() if (match := _LINE.match(line))]
        signs = (*_SIGNS_OF_LOSS, *([_INCOMPLETE_PACKET] if self.stated_seconds() else []))
        levels = _ERROR_LEVELS if any(line["level"] for line in lines) else (None,)
        texts = {
            _ADDRESS.sub("", line["context"]) + line["text"]
            for line in lines
            if line["level"] in levels or any(sign in line["text"] for sign in signs)
        }
        return "\n".join(sorted(text for text in texts if text and not _is_redundant(text)))

    def stated_seconds(self) -> float:
        """Return the length that the container states in seconds, or 0 if ffmpeg only estimates it."""
        duration = _DURATION.search(self._text)
        if duration is None or ESTIMATED_MESSAGE in self._text:
            return 0.0
        return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])

    def tolerance_seconds(self) -> float:
        """Return the seconds by which the audio of an intact file may be shorter than its container."""
        if _VIDEO.search(self._text):
            return VIDEO_TOLERANCE_SECONDS + VIDEO_TOLERANCE_SHARE * self.stated_seconds()
        return TOLERANCE_SECONDS + TOLERANCE_SHARE * self.stated_seconds()

    def stores_floats(self) -> bool:
        """Return whether the first audio stream of the file holds samples in floating point."""
        codec = _AUDIO.search(self._text)
        return codec is not None and codec[1].startswith("pcm_f")


def _is_redundant(text: str) -> bool:
    return bool(_REDUNDANT.search(text)) or _MUXER_MESSAGE in text
