"""The HTTP service of `python -m dags.serve`: embeddings, labels and neighbors of recordings."""
