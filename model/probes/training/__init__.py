"""Training of many probes at once: batched weights, batched Adam, grid search and result cache."""
