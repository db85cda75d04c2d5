"""Training of many probes at once: batched weights, batched Adam, one forward pass."""
