"""Alignment of audio with text: two adapters into one space, their training, their scores, and encoders of text."""
