"""Training: shards become a trained encoder. This package holds the data stream, the step, the loop and checkpoints."""
