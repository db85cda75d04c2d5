"""Lengths that audio files state: read from headers, pages and frames, without decoding."""
