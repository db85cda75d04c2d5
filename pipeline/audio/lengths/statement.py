"""The statement of a file about its length, with which the length that was decoded is compared."""

from __future__ import annotations

from dataclasses import dataclass

EXACT_SECONDS = 0.02
"""Tolerance of a length that is stated in samples. It is shorter than the distance of two frames of a mel, 32 ms."""


@dataclass(frozen=True)
class Statement:
    """The length of the audio as the bytes of a file state it. A file that states nothing gives an empty statement."""

    seconds: float = 0.0
    """Longest length in seconds that the file states, or 0 if it states none."""
    tolerance_seconds: float = EXACT_SECONDS
    """Seconds by which the audio of an intact file may be shorter than `seconds`."""
    origin: str = "the file states"
    """Name of the source of the length, for messages, such as `the header states`."""
    is_regular: bool = True
    """True if libsndfile decodes such a file to its end. It stops where a header with a wrong length ends the audio."""
    knows_length: bool = True
    """False if the writer did not know the length, as a writer to a pipe, so that no length in the header counts."""
    breaks_off: str = ""
    """Place where the file is cut, for messages, such as `inside its last page`, or empty text."""
    damage: str = ""
    """Sign that bytes inside the file are damaged, for messages, or empty text."""
    links: tuple[tuple[int, int], ...] = ()
    """Start and end in bytes of each part that can be decoded as a file of its own, or nothing for the whole file."""
    granules: tuple[tuple[int, int], ...] = ()
    """Positions of the last samples in the first and in the last page of each part of an Ogg file, in the units of its
    codec. They are 0 if they are unknown.
    """
    audio_end: int = 0
    """Position in bytes at which tags begin that the decoder of ffmpeg would take for damaged audio, or 0."""


NO_STATEMENT = Statement()
"""The statement of a file that states nothing."""
