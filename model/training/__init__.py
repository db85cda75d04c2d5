"""Shards become a trained encoder: the stream of batches, the step, the loop, the checkpoints."""
