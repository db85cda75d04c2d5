"""Decoding of audio files to samples, and of samples to mels. It imports only `stores`, so `model` may import it."""
