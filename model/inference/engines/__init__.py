"""Inference engines, which turn windows into embeddings at fixed batch shapes and with stated tolerances."""
