"""Fused GPU operations of the training step, one per file, each beside a reference in plain PyTorch."""
